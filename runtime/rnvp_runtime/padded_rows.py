"""The log-density of a row, bit for bit the same with any other rows in the call.

An engine computes the elementwise functions of most numbers of an array in vector registers and of
the last ones one by one, which may round differently (measured in float64: 1 unit in the last place
for calls of an odd number of rows). Calls of a multiple of 64 rows have no last ones.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.flow import Flow

__all__ = ["padded_log_prob"]

_MULTIPLE = 64


def padded_log_prob(flow: Flow, x: NDArray[Any], context: NDArray[Any] | None) -> NDArray[Any]:
    """log p(x | context), (n,), in nats, of the flow's dtype, computed with repeated last rows.

    Args:
        flow: the density.
        x: (n, d).
        context: (n, c), or None for an unconditional flow.
    """
    n = len(x)
    return flow.log_prob(_padded(x), None if context is None else _padded(context))[:n]


def _padded(rows: NDArray[Any]) -> NDArray[Any]:
    missing = -len(rows) % _MULTIPLE
    return np.concatenate([rows, rows[-1:].repeat(missing, axis=0)]) if missing else rows
