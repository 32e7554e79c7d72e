"""Evaluating another library's code in float64 throughout."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["exactly"]


class _Exactly(TorchFunctionMode):
    """Every float32 tensor that meets an operation enters it as float64.

    Libraries keep constants (masks, log-dets started from zero, global base distributions) that
    ``model.double()`` does not reach.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*_widen(args), **_widen(kwargs or {}))


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.double()
    if type(value) in (list, tuple):
        return type(value)(_widen(part) for part in value)
    if type(value) is dict:
        return {key: _widen(part) for key, part in value.items()}
    return value


@contextmanager
def exactly() -> Iterator[None]:
    """Evaluate code of another library: all in float64, without gradients or its warnings.

    Nothing of ours is to be built in here: what writes into a float32 tensor writes into a copy.
    """
    with warnings.catch_warnings(), torch.no_grad(), _Exactly():
        warnings.simplefilter("ignore")
        yield
