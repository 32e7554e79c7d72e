"""Results as a picture: time a row against rows a call, a panel for each flow."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.competitors import COMPETITORS, OURS
from benchmarks.flows import FLOWS
from benchmarks.measuring import contestant_name
from benchmarks.racing import median
from benchmarks.results import Cell, Results

__all__ = ["draw"]


def draw(results: Results, path: Path, function: str = "density") -> None:
    """Write the picture to ``path``; its ending names the format."""
    flows = list(results.nodes)
    threads = sorted({1, int(results.machine["cores"])})
    figure, panels = pyplot.subplots(
        len(threads), len(flows), sharex=True, squeeze=False,
        figsize=(4.2 * len(flows), 3.4 * len(threads)), layout="constrained",
    )  # fmt: skip
    for i, number in enumerate(threads):
        for j, flow in enumerate(flows):
            _panel(panels[i][j], results, flow, function, number)
            if i == 0:
                panels[i][j].set_title(str(FLOWS[flow]), fontsize=10, loc="left")
        panels[i][0].set_ylabel(f"µs a row, {number} thread{'s' * (number > 1)}")
    for panel in panels[-1]:
        panel.set_xlabel("rows a call")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3 * len(flows), frameon=False)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _panel(panel: Axes, results: Results, flow: str, function: str, threads: int) -> None:
    cells = sorted(results.where(flow=flow, function=function), key=lambda cell: cell.rows)
    for name, competitor in COMPETITORS.items():
        own = name == OURS
        panel.loglog(
            *_line(cells, contestant_name(name, threads)), label=name,
            color=competitor.colour, linewidth=2.6 if own else 1.3, marker="o",
            markersize=4.5 if own else 3, zorder=3 if own else 2,
        )  # fmt: skip
    rows, floor = _line(cells, "floor")
    panel.loglog(
        rows, [time / threads for time in floor], color="0.5", linestyle=":", linewidth=1.3,
        label="sgemm alone", zorder=1,
    )  # fmt: skip
    panel.grid(True, which="major", color="0.92")
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_xticks([cell.rows for cell in cells], [f"{cell.rows:,}" for cell in cells])
    panel.minorticks_off()


def _line(cells: Iterable[Cell], name: str) -> tuple[list[int], list[float]]:
    """Rows a call, and µs a row."""
    taken = [(cell.rows, cell.seconds[name]) for cell in cells if name in cell.seconds]
    return [rows for rows, _ in taken], [median(times) / rows * 1e6 for rows, times in taken]
