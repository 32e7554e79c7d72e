"""The figures of the latent space: PIT of each coordinate, QQ of ‖z‖², and both by conditions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from rnvp_exporters.report.calibration import (
    chi_squared_quantiles,
    condition_bins,
    distance_from_uniform,
    noise_distance,
)
from rnvp_exporters.report.charts import Chart, number
from rnvp_exporters.report.evidence import HeldOut

__all__ = ["PITS", "BinRow", "Condition", "Pit", "by_condition", "pits", "qq"]

Array = NDArray[np.float64]
PITS = 24
"""The most latent coordinates whose PIT is drawn; of more, those that differ most are."""
_Z99 = 2.576  # standard deviations of a 99 % band


@dataclass(frozen=True)
class Pit:
    """The PIT of one latent coordinate.

    Attributes:
        name: Such as ``z0``.
        distance: Kolmogorov-Smirnov distance from uniform.
        chart: Its histogram.
    """

    name: str
    distance: float
    chart: Markup


def pits(held_out: HeldOut) -> list[Pit]:
    """The latent coordinates with the largest distances, at most 24, in order."""
    distances = [distance_from_uniform(u) for u in held_out.pit.T]
    largest = sorted(range(len(distances)), key=lambda j: -distances[j])[:PITS]
    return [
        Pit(f"z{j}", distances[j], _pit_chart(f"z{j}", held_out.pit[:, j])) for j in sorted(largest)
    ]


def _pit_chart(name: str, u: Array) -> Markup:
    bins = 20 if len(u) >= 1000 else 10
    edges = np.linspace(0, 1, bins + 1)
    ratio = np.histogram(u, edges)[0] * bins / len(u)
    band = _Z99 * np.sqrt((1 - 1 / bins) * bins / len(u))
    top = max(2.0, 1.1 * float(ratio.max()))
    chart = Chart(
        (0.0, 1.0), (0.0, top), name, label=f"PIT of {name}", x_ticks=3, y_ticks=3, kind="marginal"
    )
    return chart.html(
        chart.area((0, 1), (max(0.0, 1 - band),) * 2, (1 + band,) * 2, "expected"),
        chart.line((0, 1), (1, 1), "ideal"),
        chart.steps(edges, ratio, "line flow"),
    )


def qq(held_out: HeldOut) -> Markup:
    """Quantiles of ‖z‖² of the held-out rows against those of χ²."""
    found = np.sort(held_out.squares)
    rows, degrees = len(found), held_out.pit.shape[1]
    levels = (np.arange(rows) + 0.5) / rows
    expected = chi_squared_quantiles(levels, degrees)
    band = _Z99 * np.sqrt(levels * (1 - levels) / rows)
    low, high = (
        chi_squared_quantiles(np.clip(levels + sign * band, 0.1 / rows, 1 - 0.1 / rows), degrees)
        for sign in (-1, 1)
    )
    chart = _qq_chart(float(expected[-1]), found, "QQ of ‖z‖² against chi-squared")
    return chart.html(
        chart.area(expected, low, high, "expected"),
        chart.line((0, chart.x[1]), (0, chart.x[1]), "ideal"),
        chart.dots(expected, np.minimum(found, chart.y[1]), "flow"),
    )


def _qq_chart(top: float, found: Array, label: str) -> Chart:
    high = min(float(found.max()), 3 * top)
    x_name, y_name = "χ² quantile", "‖z‖² of held-out rows"
    return Chart((0.0, 1.05 * top), (0.0, 1.05 * max(top, high)), x_name, y_name, label=label)


@dataclass(frozen=True)
class BinRow:
    """The held-out rows of one bin of a condition.

    Attributes:
        interval: Of the condition, in words.
        rows: Number of rows.
        log_prob: Their mean, nats.
        distance: The largest distance from uniform of the PIT of a latent coordinate.
        noise: The distance that chance alone exceeds in 1 of 100 reports.
        style: CSS class of its lines.
    """

    interval: str
    rows: int
    log_prob: float
    distance: float
    noise: float
    style: str


@dataclass(frozen=True)
class Condition:
    """The latents by bins of one condition."""

    name: str
    bins: tuple[BinRow, ...]
    pit: Markup
    qq: Markup


def by_condition(held_out: HeldOut, names: Sequence[str]) -> list[Condition]:
    """The bins of each condition that has enough rows and more than one value."""
    found = []
    for i, name in enumerate(names):
        assert held_out.context is not None
        bins = condition_bins(held_out.context[:, i])
        if len(bins) < 2:
            continue
        tests = len(bins) * len(names) * held_out.pit.shape[1]
        rows = [
            BinRow(
                interval=f"{number(b.low)} … {number(b.high)}",
                rows=len(b.rows),
                log_prob=float(held_out.log_prob[b.rows].mean()),
                distance=max(distance_from_uniform(u) for u in held_out.pit[b.rows].T),
                noise=noise_distance(len(b.rows), tests),
                style=f"bin{k}",
            )
            for k, b in enumerate(bins)
        ]
        charts = _charts(held_out, name, [b.rows for b in bins])
        found.append(Condition(name, tuple(rows), *charts))
    return found


def _charts(
    held_out: HeldOut, name: str, bins: Sequence[NDArray[np.int64]]
) -> tuple[Markup, Markup]:
    """Two charts: for each bin, the share of all PITs below u, minus u; and the QQ line."""
    degrees = held_out.pit.shape[1]
    u = np.linspace(0, 1, 101)
    excess = []
    for rows in bins:
        ordered = np.sort(held_out.pit[rows].ravel())
        excess.append(np.searchsorted(ordered, u, side="right") / len(ordered) - u)
    band = noise_distance(min(len(rows) for rows in bins))
    most = 1.1 * max(band, *(float(np.abs(e).max()) for e in excess))
    pit = Chart((0.0, 1.0), (-most, most), "u", "F(u) − u", label=f"PIT by bins of {name}")
    marks = [pit.area((0, 1), (-band, -band), (band, band), "expected")]
    marks += [pit.line(u, e, f"bin{k}") for k, e in enumerate(excess)]
    ordered_squares = [np.sort(held_out.squares[rows]) for rows in bins]
    expected = [
        chi_squared_quantiles((np.arange(len(s)) + 0.5) / len(s), degrees) for s in ordered_squares
    ]
    top = max(float(e[-1]) for e in expected)
    plot = _qq_chart(top, np.concatenate(ordered_squares), f"QQ of ‖z‖² by bins of {name}")
    lines = [plot.line((0, plot.x[1]), (0, plot.x[1]), "ideal")]
    lines += [
        plot.line(e, s, f"bin{k}")
        for k, (e, s) in enumerate(zip(expected, ordered_squares, strict=True))
    ]
    return pit.html(*marks), plot.html(*lines)
