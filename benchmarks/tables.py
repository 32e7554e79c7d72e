"""Results as Markdown, for a person."""

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.competitors import COMPETITORS, OURS
from benchmarks.flows import FLOWS
from benchmarks.measuring import contestant_name
from benchmarks.racing import median, ratio
from benchmarks.results import Cell, Results
from benchmarks.targets import table as targets

__all__ = ["document", "duration", "markdown"]


def document(results: Results) -> str:
    """The whole page."""
    machine = results.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    parts = [
        "# Results",
        f"{machine['cpu']}, {machine['cores']} cores, L2 {machine['l2']}; {machine['system']}; "
        f"Python {machine['python']}, {versions}; numpy's BLAS: {machine['blas']}; "
        f"{machine['date']}, load average at the start {machine['load']}.",
        "A time is the median of the rounds. In brackets: how many times as long as ours on as "
        "many threads, the median of the rounds' ratios with their 10th and 90th percentiles. "
        "`README.md` says how to read the rest.",
        "![time a row against rows a call](results.png)",
        "## Targets",
        targets(results),
    ]
    for flow in results.nodes:
        parts.append(f"## {FLOWS[flow]}")
        for threads in range(1, 1 + int(machine["cores"])):
            for function in dict.fromkeys(cell.function for cell in results.where(flow=flow)):
                cells = list(results.where(flow=flow, function=function))
                if contestant_name(OURS, threads) in cells[0].seconds:
                    parts.append(f"### {function}, {threads} thread{'s' * (threads > 1)}")
                    parts.append(_races(cells, threads))
        parts += ["### the rest", _rest(results, flow)]
    return "\n\n".join(parts) + "\n"


def _races(cells: Sequence[Cell], threads: int) -> str:
    own = contestant_name(OURS, threads)
    body = []
    for competitor in COMPETITORS:
        name = contestant_name(competitor, threads)
        if all(name not in cell.seconds for cell in cells):
            continue
        row = [f"**{competitor}**" if competitor == OURS else competitor]
        for cell in cells:
            if name not in cell.seconds:
                row.append("")
                continue
            text = duration(median(cell.seconds[name]))
            if competitor != OURS:
                text += f" [{ratio(cell.seconds[name], cell.seconds[own])}]"
            row.append(text)
        body.append(row)
    if threads == 1:
        body.append(["*the floor: sgemm alone*", *(_floor(cell, own) for cell in cells)])
    head = [f"{cell.rows:,} row{'s' * (cell.rows > 1)}" for cell in cells]
    return markdown(["", *head], body)


def _floor(cell: Cell, own: str) -> str:
    if "floor" not in cell.seconds:
        return ""
    share = ratio(cell.seconds["floor"], cell.seconds[own])
    return f"{duration(median(cell.seconds['floor']))} [{share}]"


def _rest(results: Results, flow: str) -> str:
    body = []
    for name, rounds in results.starts[flow].items():
        if name not in COMPETITORS:
            continue
        seconds = np.median([turn["seconds"] for turn in rounds])
        peak = np.median([turn["peak"] for turn in rounds])
        form = COMPETITORS[name].form
        export = "" if form == "eager" else f"{results.exports[flow][form]:.1f} s"
        nodes = results.nodes[flow].get(form, {})
        body.append(
            [
                f"**{name}**" if name == OURS else name,
                f"{seconds:.2f} s",
                f"{peak / 2**20:.0f} MiB",
                f"{results.installed[name] / 2**20:.0f} MiB",
                export,
                ", ".join(f"{graph} {count}" for graph, count in nodes.items()),
            ]
        )
    head = ["", "start to first number", "peak memory", "installed", "export", "nodes"]
    return markdown(head, body)


def duration(seconds: float) -> str:
    """Three figures, in µs, ms or s."""
    units = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
    unit = next((unit for unit, size in units.items() if seconds >= size), "µs")
    figure = seconds / units[unit]
    return f"{figure:.{max(0, 2 - int(np.log10(max(figure, 1))))}f} {unit}"


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
