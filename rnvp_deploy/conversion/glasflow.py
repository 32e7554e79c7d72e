"""glasflow 0.4: layers of its own copy of nflows, a context called ``conditional``."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from rnvp_deploy.conversion.nflows import read_nflows
from rnvp_deploy.conversion.source import Source, bring
from rnvp_deploy.flow import RNVP

__all__ = ["from_glasflow"]


def from_glasflow(
    flow: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The distribution of a ``glasflow.RealNVP`` as a flow of ours.

    ``columns`` and ``context_columns`` name the coordinates. Raises ConversionError.
    """
    return bring(flow, _read, columns, context_columns)


def _read(flow: Any) -> Source:
    return read_nflows(flow, _log_prob)


def _log_prob(flow: Any, x: Tensor, c: Tensor | None) -> Tensor:
    result: Tensor = flow.log_prob(x, conditional=c)
    return result
