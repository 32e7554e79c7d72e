"""Whether held-out rows are distributed as the flow says, in its latent space.

If the flow is the distribution of the rows, each latent coordinate is standard normal, so that its
probability integral transform (PIT) u = Φ(z) is uniform, and ‖z‖² is χ² with d degrees of freedom.
The distance of a PIT from uniform is the Kolmogorov-Smirnov distance, sup |F(u) − u|.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "ConditionBin",
    "chi_squared_quantiles",
    "condition_bins",
    "distance_between",
    "distance_from_uniform",
    "noise_distance",
]

Array = NDArray[np.float64]
_SIGNIFICANCE = 0.01
_BINS, _FEWEST_ROWS = 4, 20


def distance_from_uniform(u: Array) -> float:
    """The Kolmogorov-Smirnov distance of (k,) numbers from the uniform distribution."""
    ordered, ranks = np.sort(u), np.arange(len(u) + 1) / len(u)
    return float(max((ranks[1:] - ordered).max(), (ordered - ranks[:-1]).max()))


def distance_between(one: Array, other: Array) -> float:
    """The Kolmogorov-Smirnov distance of two sets of numbers, (k,) and (n,)."""
    both = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(v), both, side="right") / len(v) for v in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def noise_distance(rows: float, tests: int = 1) -> float:
    """The distance that chance exceeds in 1 of 100 reports, with ``tests`` distances in each.

    For the distance between sets of k and n rows, ``rows`` is k n / (k + n).

    Kolmogorov's asymptotic distribution, with Bonferroni's correction.
    """
    return math.sqrt(-0.5 * math.log(_SIGNIFICANCE / (2 * tests)) / max(rows, 1))


def chi_squared_quantiles(levels: Array, degrees: int) -> Array:
    """The quantiles of χ² at ``levels`` in (0, 1), by bisection of its distribution function."""
    wanted = torch.from_numpy(np.asarray(levels, np.float64))
    half = torch.tensor(degrees / 2, dtype=torch.float64)
    low = torch.zeros_like(wanted)
    high = torch.full_like(wanted, degrees + 40.0 * math.sqrt(2.0 * degrees) + 100.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = torch.special.gammainc(half, middle / 2) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    found: Array = ((low + high) / 2).numpy()
    return found


@dataclass(frozen=True)
class ConditionBin:
    """The held-out rows for which a condition lies in an interval.

    Attributes:
        low: Smallest value of the condition.
        high: Largest value.
        rows: Which of the held-out rows, as indices.
    """

    low: float
    high: float
    rows: NDArray[np.int64]


def condition_bins(values: Array) -> Sequence[ConditionBin]:
    """Up to 4 bins of a condition with about as many rows each, and at least 20.

    Equal values are in one bin. There is no bin at all if there are too few rows.
    """
    count = min(_BINS, len(values) // _FEWEST_ROWS)
    if count < 2:
        return ()
    edges = np.unique(np.quantile(values, np.arange(1, count) / count, method="inverted_cdf"))
    number = np.searchsorted(edges, values, side="left")
    found = [np.flatnonzero(number == i) for i in range(len(edges) + 1)]
    return tuple(
        ConditionBin(float(values[rows].min()), float(values[rows].max()), rows)
        for rows in found
        if len(rows) >= _FEWEST_ROWS
    )
