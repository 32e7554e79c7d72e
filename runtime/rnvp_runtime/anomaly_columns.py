"""The columns about anomalies that a scored table may gain beside log_prob."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.anomalies import explain, log_prob_at, quantiles_of, reference_of
from rnvp_runtime.flow import Flow
from rnvp_runtime.tables import Column

__all__ = ["AnomalyColumns", "flagged_rows"]

Array = NDArray[Any]

_MOST_CAUSES = 3


@dataclass(frozen=True)
class AnomalyColumns:
    """The columns to add to a scored table.

    quantile:  ``quantile``, the share of reference rows that are less likely.
    threshold: ``unlikely``, 1 where log_prob is below that of this share of the reference rows, or
               is NaN, else 0. None adds no column.
    explain:   for up to three columns of each row, the most surprising first, ``cause_1`` (the
               column), ``cause_1_surprise`` (nats), ``cause_1_expected`` (its most likely value
               given the others) and ``cause_1_slope`` (nats per standard deviation). With a
               threshold only the unlikely rows have them.
    """

    quantile: bool = False
    threshold: float | None = None
    explain: bool = False

    def names(self, dim: int) -> tuple[str, ...]:
        """The names of the columns, for a flow of ``dim`` columns."""
        names = ["quantile"] * self.quantile + ["unlikely"] * (self.threshold is not None)
        if self.explain:
            for i in range(1, min(dim, _MOST_CAUSES) + 1):
                names += [f"cause_{i}{part}" for part in ("", "_surprise", "_expected", "_slope")]
        return tuple(names)

    def of(self, flow: Flow, x: Array, context: Array | None, log_prob: Array) -> dict[str, Column]:
        """The columns for the rows ``x`` (n, d), whose ``log_prob`` (n,) is known.

        Args:
            flow: the flow that gave ``log_prob``.
            x: (n, d).
            context: (n, c), or None for an unconditional flow.
            log_prob: (n,), in nats.

        Raises:
            BundleError: the bundle has no reference, or no gradient graph.
        """
        columns: dict[str, Column] = {}
        if self.quantile:
            columns["quantile"] = quantiles_of(reference_of(flow), log_prob)
        explained = np.ones(len(x), bool)
        if self.threshold is not None:
            explained = flagged_rows(flow, log_prob, self.threshold)
            columns["unlikely"] = explained.astype(np.int64)
        if self.explain:
            columns |= _causes(flow, x, context, explained)
        return columns


def flagged_rows(flow: Flow, log_prob: Array, share: float) -> NDArray[np.bool_]:
    """(n,): the rows below the log_prob of ``share`` of the reference rows, and those with NaN."""
    return np.asarray(~(log_prob >= log_prob_at(reference_of(flow), share)))


def _causes(
    flow: Flow, x: Array, context: Array | None, rows: NDArray[np.bool_]
) -> Mapping[str, Column]:
    """The columns ``cause_…``; empty text and NaN for the rows that are not explained."""
    found = explain(flow, x[rows], None if context is None else context[rows])
    order = found.causes()
    columns: dict[str, Column] = {}
    for i in range(min(flow.dim, _MOST_CAUSES)):
        which = order[:, i : i + 1]
        names = np.full(len(x), "", object)
        names[rows] = [flow.columns[j] for j in which[:, 0]]
        columns[f"cause_{i + 1}"] = names.tolist()
        for part in ("surprise", "expected", "slope"):
            values = np.full(len(x), np.nan)
            values[rows] = np.take_along_axis(getattr(found, part), which, axis=1)[:, 0]
            columns[f"cause_{i + 1}_{part}"] = values
    return columns
