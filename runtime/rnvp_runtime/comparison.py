"""What differs between two bundles: what they say about themselves, and their scores of a table.

compare_manifests(a, b)                 # Manifest, Manifest -> [Difference, ...]
compare_scores(flow_a, flow_b, "t.csv") # -> ScoreComparison
"""

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.errors import TableError
from rnvp_runtime.flow import Flow
from rnvp_runtime.tables import Batch, Table, open_table

__all__ = [
    "LEVELS",
    "Difference",
    "MovedRow",
    "ScoreComparison",
    "compare_manifests",
    "compare_scores",
]

LEVELS = (0.001, 0.01, 0.1, 0.5, 0.9)
"""Levels of the quantiles of log_prob."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """One fact of two bundles that is not the same."""

    what: str
    a: str  # empty if A has no such thing
    b: str


@dataclass(frozen=True)
class MovedRow:
    """The log_prob of one row in both flows, nats."""

    row: int  # the first row of data is row 1
    a: float
    b: float


@dataclass(frozen=True)
class ScoreComparison:
    """The scores of the rows that have a finite log_prob in both flows. All in nats."""

    rows: int
    left_out: int  # rows without one
    mean: tuple[float, float]  # of A and of B
    quantiles: tuple[tuple[float, float], ...]  # at LEVELS
    rank_correlation: float  # Spearman's; NaN if one flow gives all rows one score
    moved: tuple[MovedRow, ...]  # those whose B − A is farthest from the median of B − A, first


def compare_manifests(a: Manifest, b: Manifest) -> list[Difference]:
    """What the manifests state differently: columns, architecture, provenance and parity."""
    ours, theirs = dict(_facts(a)), dict(_facts(b))
    return [
        Difference(what, ours.get(what, ""), theirs.get(what, ""))
        for what in {**ours, **theirs}
        if ours.get(what) != theirs.get(what)
    ]


def compare_scores(
    a: Flow, b: Flow, table: Table | str | PathLike[str], *, moved: int = 10
) -> ScoreComparison:
    """Score every row of ``table`` with both flows. The scores are kept in memory.

    Args:
        a, b: the flows. Each finds its columns, and those of its context, by name.
        table: a path, or what `rnvp_runtime.tables.open_table` returns.
        moved: the most rows to name.

    Raises:
        TableError: the table cannot be read, lacks a column, or has no row with a finite log_prob
            in both flows.
    """
    source = open_table(table) if isinstance(table, str | PathLike) else table
    both = [(_scores(a, batch), _scores(b, batch)) for batch in source]
    scores = np.concatenate([np.stack(pair) for pair in both], axis=1)
    usable = np.flatnonzero(np.isfinite(scores).all(0))
    if not usable.size:
        raise TableError(f"{source.path} has no row with a finite log_prob in both flows")
    ours, theirs = scores[:, usable]
    shift = theirs - ours
    far = np.argsort(-np.abs(shift - np.median(shift)), kind="stable")[:moved]
    levels = np.quantile(scores[:, usable], LEVELS, axis=1)
    return ScoreComparison(
        len(usable),
        scores.shape[1] - len(usable),
        (float(ours.mean()), float(theirs.mean())),
        tuple((float(one), float(other)) for one, other in levels),
        _correlation(_ranks(ours), _ranks(theirs)),
        tuple(MovedRow(int(usable[i]) + 1, float(ours[i]), float(theirs[i])) for i in far),
    )


def _scores(flow: Flow, batch: Batch) -> Array:
    numbers = batch.numeric(flow.columns + flow.context_columns)
    context = numbers[:, flow.dim :] if flow.context_dim else None
    return flow.log_prob(numbers[:, : flow.dim], context).astype(np.float64)


def _ranks(values: Array) -> Array:
    """Ranks from 0; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks: Array = np.cumsum(counts) - (counts + 1) / 2
    return mean_ranks[inverse]


def _correlation(one: Array, other: Array) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm else float("nan")


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Name and value of what is compared, in the order in which it is shown."""
    flow, reference, precision = manifest.flow, manifest.reference, manifest.precision
    yield "id", manifest.id
    yield "columns", ", ".join(manifest.columns)
    yield "context", ", ".join(manifest.context_columns)
    yield "flow", flow.description
    yield "parameters", f"{flow.parameters:,}"
    yield "widths", ", ".join(map(str, flow.widths))
    yield "dtype", manifest.dtype
    yield "opset", str(manifest.opset)
    yield "needs onnxruntime", manifest.min_onnxruntime
    yield "graphs", ", ".join(manifest.graphs)
    yield "nodes", ", ".join(str(graph.nodes) for graph in manifest.graphs.values())
    yield "size", f"{sum(file.bytes for file in manifest.files.values()) / 1024:,.0f} KiB"
    yield "checkpoint", manifest.checkpoint.sha256 or ""
    yield from ((f"made by {name}", version) for name, version in manifest.versions.items())
    if reference is not None:
        yield "reference rows", f"{reference.rows:,} {reference.source}"
        median = np.interp(0.5, reference.levels, reference.log_prob)
        yield "median of their log_prob", f"{median:.4g} nats"
    if precision is not None:
        yield "error of log_prob (p99)", f"{precision.log_prob.p99:.2g} nats"
        yield "accepted faults", "; ".join(precision.faults)
    for parity in manifest.parity:
        name = f"parity, {parity.graph} {parity.output} {parity.format}"
        yield name, f"ratio {parity.ratio.p99:.2f}" + ("" if parity.passed else " FAILED")
