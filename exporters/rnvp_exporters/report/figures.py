"""The figures that compare the flow with its data: marginals, pairs, log-density, learning curves.

In every figure the data are grey and the flow is blue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_deploy.training import TrainingSummary
from rnvp_exporters.report.calibration import distance_between
from rnvp_exporters.report.charts import Chart, Range
from rnvp_exporters.report.contours import level_of_mass, smoothed_density
from rnvp_exporters.report.evidence import Evidence

__all__ = ["CORNER", "MARGINALS", "Marginal", "corner", "density", "learning_curves", "marginals"]

Array = NDArray[np.float64]
CORNER = 8
"""The most columns of a corner plot."""
MARGINALS = 64
"""The most columns whose histograms are drawn; of more, those that differ most are."""

_MASSES = (0.9, 0.5)  # shares of the rows inside the regions of a pair
_DEPTHS = (8.0, 6.0, 4.5, 3.0, 2.0, 1.0, 0.4)  # nats below the highest log-density
_PAIR_GRID, _DENSITY_GRID, _DOTS = 40, 90, 1500


@dataclass(frozen=True)
class Marginal:
    """One column in the data and in the samples.

    Attributes:
        name: Of the column.
        distance: Kolmogorov-Smirnov distance of the two; None without data.
        data: Quantiles 0.01, 0.5 and 0.99 of the held-out rows; None without them.
        samples: The same of the samples.
        chart: Both histograms; None if this column is not drawn.
    """

    name: str
    distance: float | None
    data: tuple[float, ...] | None
    samples: tuple[float, ...]
    chart: Markup | None


def marginals(flow: RNVP, evidence: Evidence) -> list[Marginal]:
    """Every column of the flow, in order."""
    columns = [
        (name, _data(evidence, i), evidence.samples[:, i]) for i, name in enumerate(flow.columns)
    ]
    distances = [
        None if data is None else distance_between(data, samples) for _, data, samples in columns
    ]
    by_distance = sorted(range(flow.dim), key=lambda i: -(distances[i] or 0.0))
    drawn = set(by_distance[:MARGINALS])
    return [
        Marginal(
            name,
            distance,
            None if data is None else _quantiles(data),
            _quantiles(samples),
            _histograms(name, data, samples) if i in drawn else None,
        )
        for i, ((name, data, samples), distance) in enumerate(zip(columns, distances, strict=True))
    ]


def _data(evidence: Evidence, column: int) -> Array | None:
    return None if evidence.held_out is None else evidence.held_out.x[:, column]


def _quantiles(values: Array) -> tuple[float, ...]:
    return tuple(np.quantile(values, (0.01, 0.5, 0.99)).tolist())


def _range(*sets: Array | None, margin: float = 0.06) -> Range:
    """A range that holds all but the outermost values of every set."""
    given = [values for values in sets if values is not None and len(values)]
    low = min(float(np.quantile(values, 0.003)) for values in given)
    high = max(float(np.quantile(values, 0.997)) for values in given)
    around = margin * (high - low) or abs(low) * 0.1 or 1.0
    return low - around, high + around


def _histograms(name: str, data: Array | None, samples: Array) -> Markup:
    """Densities of one column: the data as an area, the samples as a line."""
    within = _range(data, samples)
    edges = _edges(within, data, samples)
    heights = np.histogram(samples, edges, density=True)[0]
    shown = [] if data is None else [np.histogram(data, edges, density=True)[0]]
    top = 1.08 * max(float(h.max()) for h in (heights, *shown)) or 1.0
    chart = Chart(
        within,
        (0.0, top),
        x_name=name,
        y_ticks=0,
        x_ticks=3,
        kind="marginal",
        label=f"Histogram of {name}",
    )
    marks = [chart.steps(edges, h, "data-area") for h in shown]
    return chart.html(*marks, chart.steps(edges, heights, "line flow"))


def _edges(within: Range, data: Array | None, samples: Array) -> Array:
    """Edges of bins: about 30, or a bin for each whole number where both hold few of them."""
    values = samples if data is None else np.concatenate([data, samples])
    if within[1] - within[0] <= 40 and (values == np.rint(values)).all():
        return np.arange(np.floor(within[0]), np.ceil(within[1]) + 1) - 0.5
    rows = len(samples) if data is None else len(data)
    return np.linspace(*within, int(np.clip(1.6 * rows ** (1 / 3) + 4, 12, 32)) + 1)


def corner(flow: RNVP, evidence: Evidence) -> list[tuple[int, int, Markup]]:
    """The lower triangle of all pairs of columns, and the diagonal: (row, column, chart).

    The regions of a pair hold 50 and 90 % of the rows.
    """
    samples = evidence.samples
    held_out = None if evidence.held_out is None else evidence.held_out.x
    ranges = [
        _range(None if held_out is None else held_out[:, i], samples[:, i]) for i in range(flow.dim)
    ]
    cells = []
    for i in range(flow.dim):
        for j in range(i):
            chart = Chart(
                ranges[j],
                ranges[i],
                flow.columns[j],
                flow.columns[i],
                label=f"{flow.columns[i]} against {flow.columns[j]}",
                x_ticks=3,
                y_ticks=3,
                kind="pair",
            )
            marks = []
            if held_out is not None:
                marks += _regions(chart, held_out[:, j], held_out[:, i], "data-area")
            marks += _regions(chart, samples[:, j], samples[:, i], "line flow")
            cells.append((i, j, chart.html(*marks)))
        data = None if held_out is None else held_out[:, i]
        name = flow.columns[i]
        cells.append((i, i, _histograms(name, data, samples[:, i])))
    return cells


def _regions(chart: Chart, x: Array, y: Array, style: str) -> list[Markup]:
    grid = smoothed_density(x, y, (chart.x, chart.y), _PAIR_GRID)
    return [chart.region(grid, level_of_mass(grid, mass), style) for mass in _MASSES]


@torch.no_grad()
def density(flow: RNVP, evidence: Evidence) -> list[tuple[str, Markup]]:
    """(title, chart) of data, samples and log-density, for an unconditional flow of two columns."""
    samples = evidence.samples
    held_out = None if evidence.held_out is None else evidence.held_out.x
    ranges = [
        _range(None if held_out is None else held_out[:, i], samples[:, i], margin=0.16)
        for i in range(2)
    ]
    across, up = (
        low + (high - low) * (np.arange(_DENSITY_GRID) + 0.5) / _DENSITY_GRID
        for low, high in ranges
    )
    points = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    values = flow.log_prob(torch.tensor(points, dtype=flow.dtype)).double().numpy()
    grid = np.nan_to_num(values, nan=-1e30, neginf=-1e30).reshape(_DENSITY_GRID, _DENSITY_GRID)

    def chart(words: str) -> Chart:
        x_name, y_name = flow.columns
        label = f"{words}: {y_name} against {x_name}"
        return Chart(ranges[0], ranges[1], x_name, y_name, label=label, kind="square")

    found = []
    if held_out is not None:
        plot = chart("Held-out rows")
        marks = plot.dots(held_out[:_DOTS, 0], held_out[:_DOTS, 1], "data")
        found.append((f"Data: {min(len(held_out), _DOTS):,} held-out rows", plot.html(marks)))
    plot = chart("Samples")
    shown = samples[: min(_DOTS, len(held_out) if held_out is not None else _DOTS)]
    marks = plot.dots(shown[:, 0], shown[:, 1], "flow")
    found.append((f"Flow: {len(shown):,} samples", plot.html(marks)))
    plot = chart("Log-density")
    bands = [plot.region(grid, float(grid.max()) - depth, "band") for depth in _DEPTHS]
    found.append(
        (f"Log-density, down to {_DEPTHS[0]:.0f} nats below its highest", plot.html(*bands))
    )
    return found


def learning_curves(summary: TrainingSummary) -> Markup:
    """Training and held-out loss of each epoch, with the Gaussian's loss and the best epoch."""
    train = np.array(summary.train_curve, float)
    held_out = np.array(summary.held_out_curve, float)
    epochs = np.arange(1, len(held_out) + 1)
    within = _loss_range([train, held_out], summary.gaussian_loss)
    chart = Chart(
        (1.0, max(float(len(epochs)), 2.0)),
        within,
        "epoch",
        "nats a row",
        label=f"Loss of {len(epochs)} epochs, best epoch {summary.best_epoch}",
        x_ticks=min(6, len(epochs)),
        y_ticks=5,
        whole_x=True,
        kind="long",
    )
    marks = []
    if summary.gaussian_loss is not None:
        level = [summary.gaussian_loss] * 2
        marks.append(chart.line(chart.x, level, "gaussian"))
    marks += [chart.line(epochs, train, "data"), chart.line(epochs, held_out, "flow")]
    best = summary.best_epoch
    marks.append(chart.dots([best], held_out[best - 1 : best], "best"))
    return chart.html(*marks)


def _loss_range(curves: Sequence[Array], gaussian: float | None) -> Range:
    """Without the first epochs of a long training, whose loss is far higher."""
    late = [curve[len(curve) // 20 :] for curve in curves]
    values = np.concatenate([curve[np.isfinite(curve)] for curve in late])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if gaussian is not None:
        low, high = min(low, gaussian), max(high, gaussian)
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin
