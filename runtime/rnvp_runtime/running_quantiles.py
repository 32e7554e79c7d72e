"""Quantiles of a stream of numbers, in bounded memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RunningQuantiles"]

_MOST = 1 << 20


class RunningQuantiles:
    """Quantiles of the finite numbers that were added.

    They are exact up to ``most`` numbers. Beyond that only every second number is kept, then every
    fourth, and so on: the quantiles are those of an evenly spaced part.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._stride, self._seen = most, 1, 0
        self._kept: list[NDArray[Any]] = []

    def add(self, values: NDArray[Any]) -> None:
        """Add the finite numbers of ``values``, (n,)."""
        finite = values[np.isfinite(values)]
        # Copies: a view would keep the whole array in memory.
        self._kept.append(finite[-self._seen % self._stride :: self._stride].copy())
        self._seen += len(finite)
        while sum(map(len, self._kept)) > self._most:
            self._kept = [np.concatenate(self._kept)[::2].copy()]
            self._stride *= 2

    def at(self, levels: Sequence[float]) -> list[float] | None:
        """The quantiles at ``levels``, each one of the numbers; None if there are no numbers."""
        if not self._seen:
            return None
        values = np.concatenate(self._kept)
        found: list[float] = np.quantile(values, levels, method="inverted_cdf").tolist()
        return found
