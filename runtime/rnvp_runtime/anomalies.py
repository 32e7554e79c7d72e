"""Which rows are unlikely, and which of their columns make them unlikely.

A log_prob means little by itself. Three measures give it a scale (``docs/anomalies.md``):

- The *quantile* of a row is the share of reference rows that are less likely. The manifest holds
  the reference: quantiles of the log_prob of held-out rows, or of the flow's own samples.
- The *slope* of a column is |∂ log p / ∂x_j| · s_j, where s_j is the column's standard deviation in
  the reference: how many nats log_prob changes for one standard deviation, to first order.
- The *surprise* of a column is how many nats log_prob rises if this column alone takes its most
  likely value, given all others:

      surprise_j = max_v log p(x with x_j = v) − log p(x)
                 = max_v log p(v | x_−j) − log p(x_j | x_−j)

  The flow computes both densities. The only approximation is that v is one of finitely many values
  (see `explain`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnvp_runtime.bundle.manifest import Reference
from rnvp_runtime.errors import BundleError, InputError
from rnvp_runtime.flow import Flow

__all__ = ["Explanation", "explain", "log_prob_at", "quantiles_of", "reference_of"]

Array = NDArray[Any]

_GRID, _FINER = 32, 16
_ROWS = 1 << 15  # in one call of the flow


@dataclass(frozen=True)
class Explanation:
    """The columns of rows, measured in two ways. Arrays are (n, dim)."""

    log_prob: Array  # (n,), nats
    slope: Array  # nats per standard deviation, not negative
    surprise: Array  # nats, not negative
    expected: Array  # the most likely value of the column, given the others

    def causes(self) -> NDArray[np.intp]:
        """(n, dim): the columns of each row, the most surprising first."""
        return np.argsort(-self.surprise, axis=1, kind="stable")


def reference_of(flow: Flow) -> Reference:
    """The reference in the manifest of ``flow``.

    Raises:
        BundleError: there is none.
    """
    if flow.manifest.reference is None:
        raise BundleError(
            f"{flow.path.name} holds no reference rows: export its checkpoint again with this "
            "rnvp-deploy (a converted conditional flow has none: score rows that you know, and "
            "compare)"
        )
    return flow.manifest.reference


def quantiles_of(reference: Reference, log_prob: ArrayLike) -> NDArray[np.float64]:
    """The share of the reference rows that are less likely: (n,), 0 ... 1; NaN for NaN.

    Between two stored quantiles it is interpolated. 0 says that no reference row is less likely.
    """
    values = np.asarray(log_prob, np.float64)
    return np.asarray(np.interp(values, reference.log_prob, reference.levels))


def log_prob_at(reference: Reference, share: float) -> float:
    """The log_prob below which ``share`` of the reference rows lie, in nats.

    Raises:
        InputError: ``share`` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise InputError(f"the share is {share}, expected a number between 0 and 1, such as 0.001")
    return float(np.interp(share, reference.levels, reference.log_prob))


def explain(flow: Flow, x: ArrayLike, context: ArrayLike | None = None) -> Explanation:
    """Measure the columns of the rows ``x``.

    The most likely value of a column is sought among 32 values between the quantiles 0.001 and
    0.999 of the reference, and then among 16 between the neighbours of the best. A row takes 50
    evaluations for each column.

    Args:
        flow: its bundle must have a gradient graph and a reference.
        x: (n, dim).
        context: (n, context_dim) for a conditional flow. It is not explained.

    Raises:
        BundleError: the bundle has no gradient graph or no reference.
        InputError: the rows do not fit the flow.

    Example:
        >>> found = rnvp_runtime.explain(flow, rows)                  # doctest: +SKIP
        >>> flow.columns[found.causes()[0, 0]]                        # doctest: +SKIP
        'energy'
    """
    columns = reference_of(flow).columns
    x = np.asarray(x)
    given = None if context is None else np.asarray(context)
    log_prob, grad, *_ = flow.log_prob_and_grad(x, given)
    slope = np.abs(grad) * np.array([column.deviation for column in columns])
    with np.errstate(over="ignore"):  # what is infinite in the dtype has no finite log_prob
        surprise, expected = np.zeros_like(grad), np.array(x, grad.dtype)
    for j, column in enumerate(columns):
        grid = np.linspace(column.low, column.high, _GRID)
        best, value = _most_likely(flow, x, given, j, np.broadcast_to(grid, (len(x), _GRID)))
        step = (column.high - column.low) / (_GRID - 1)
        finer = value[:, None] + np.linspace(-step, step, _FINER + 1)
        best, value = _better((best, value), _most_likely(flow, x, given, j, finer))
        better = best > log_prob
        surprise[better, j] = best[better] - log_prob[better]
        expected[better, j] = value[better]
    surprise[np.isnan(log_prob)] = np.nan
    return Explanation(log_prob, slope, surprise, expected)


def _most_likely(
    flow: Flow, x: Array, context: Array | None, j: int, values: Array
) -> tuple[Array, Array]:
    """The largest log_prob of each row with column j among ``values`` (n, k), and that value."""
    count = values.shape[1]
    best, where = np.full(len(x), -np.inf), np.zeros(len(x), np.intp)
    for low in range(0, len(x), rows := max(_ROWS // count, 1)):
        part = slice(low, low + rows)
        changed = np.repeat(np.asarray(x[part], np.float64), count, axis=0)
        changed[:, j] = values[part].reshape(-1)
        given = None if context is None else np.repeat(context[part], count, axis=0)
        found = flow.log_prob(changed, given).reshape(-1, count)
        found = np.where(np.isnan(found), -np.inf, found)
        where[part] = found.argmax(axis=1)
        best[part] = found.max(axis=1)
    return best, np.take_along_axis(values, where[:, None], axis=1)[:, 0]


def _better(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    better = other[0] > one[0]
    return np.where(better, other[0], one[0]), np.where(better, other[1], one[1])
