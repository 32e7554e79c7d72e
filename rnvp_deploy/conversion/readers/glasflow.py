"""glasflow 0.4: layers of its own copy of nflows; its context is called ``conditional``."""

from typing import Any

from torch import Tensor

from rnvp_deploy.conversion.readers.nflows import is_nflows_flow, read_nflows
from rnvp_deploy.conversion.source import Context, Reader, SourceFlow

__all__ = ["READER"]


def _log_prob(flow: Any, x: Tensor, c: Context) -> Tensor:
    result: Tensor = flow.log_prob(x, conditional=c)
    return result


def _read(flow: Any) -> SourceFlow:
    return read_nflows(flow, _log_prob)


READER = Reader("glasflow", is_nflows_flow, _read)
