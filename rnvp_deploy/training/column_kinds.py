"""The kind of values that a column holds, found from the values alone."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColumnKind", "column_kind", "most_frequent", "sampled_rows", "smallest_step"]

Array = NDArray[np.float64]

ColumnKind = Literal[
    "constant",
    "binary",
    "integer",
    "few values",
    "repeated value",
    "unit interval",
    "positive",
    "heavy tail",
    "continuous",
]

_SAMPLED = 100_000  # rows looked at, where sorting all would take long
_WIDE = 1e4  # integers with a larger standard deviation are as good as continuous
_RARE = 20  # rows per distinct value from which on a column has few values
_REPEATED = 0.1  # share of the rows with one and the same value
_SKEWED = 2.0  # mean / standard deviation; a Gaussian below it has > 2 % of its mass below 0
_EDGE = 0.5  # standard deviations between the extreme values and the ends of [0, 1]
_TAIL = 100.0  # interquartile ranges between the median and the most extreme value


def column_kind(column: Array) -> ColumnKind:
    """The first kind that fits, in the order of ``ColumnKind``.

    Args:
        column: (n,) finite values, n ≥ 1.
    """
    low, high = float(column.min()), float(column.max())
    if low == high:
        return "constant"
    sample = sampled_rows(column)
    distinct = len(np.unique(sample))
    deviation, mean = float(column.std()), float(column.mean())
    if distinct == 2:
        return "binary"
    if deviation < _WIDE and bool((column == np.rint(column)).all()):
        return "integer"
    if distinct * _RARE <= len(sample):
        return "few values"
    if most_frequent(column)[1] >= _REPEATED:
        return "repeated value"
    if low >= 0 and high <= 1 and max(low, 1 - high) < _EDGE * deviation:
        return "unit interval"
    if low >= 0 and mean < _SKEWED * deviation:
        return "positive"
    quarter, median, three_quarters = np.quantile(sample, (0.25, 0.5, 0.75))
    if max(high - median, median - low) > _TAIL * (three_quarters - quarter):
        return "heavy tail"
    return "continuous"


def sampled_rows(values: Array, most: int = _SAMPLED) -> Array:
    """At most ``most`` rows of ``values``, evenly spaced, so that the choice is reproducible."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).astype(np.int64)]


def most_frequent(column: Array) -> tuple[float, float]:
    """(the most frequent value, its share of the rows)."""
    sample = sampled_rows(column)
    values, counts = np.unique(sample, return_counts=True)
    at = int(counts.argmax())
    return float(values[at]), float(counts[at] / len(sample))


def smallest_step(column: Array) -> float:
    """The smallest difference between two different values of a column that is not constant."""
    return float(np.diff(np.unique(sampled_rows(column))).min())
