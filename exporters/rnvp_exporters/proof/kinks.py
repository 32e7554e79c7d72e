"""Rows whose gradient is one of two values: an activation's input lies at a kink.

ReLU, the absolute value and clamps are continuous, and their derivatives jump. Where rounding
decides on which side of a kink an input lies, two correct engines may differ by the whole jump. The
error that this permits on a row is measured: it is that of the flow with each such input on the
other side.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from rnvp_deploy import RNVP
from rnvp_exporters.graphs import GraphDefinition
from rnvp_exporters.proof.eager import Arrays, eager, perturbed

__all__ = ["other_side"]

CHUNK = 512  # rows at a time: every input of a piecewise function is kept
MARGIN = 2.0  # times the largest error of a layer's inputs on a row


def other_side(
    flow: RNVP, graph: GraphDefinition, inputs: Arrays, dtype: torch.dtype
) -> Arrays | None:
    """The outputs of ``flow`` in float64, with all inputs near a kink moved across it.

    An input is near if it is no further from the kink than twice the error that roundings of
    ``dtype`` make in the inputs of that activation, on that row. None if the graph does not
    differentiate.
    """
    if graph.name != "gradient":
        return None
    own, double = copy.deepcopy(flow).to(dtype), copy.deepcopy(flow).double()
    rows = len(next(iter(inputs.values())))
    parts = []
    for first in range(0, rows, CHUNK):
        chunk = {name: value[first : first + CHUNK] for name, value in inputs.items()}
        true = _recorded(eager, double, graph, chunk)
        runs = [
            _recorded(eager, own, graph, chunk),
            _recorded(perturbed, double, graph, chunk, 0, dtype),
        ]
        reach = [
            MARGIN * torch.maximum((a - t).abs(), (b - t).abs()).amax(-1, keepdim=True)
            for t, a, b in zip(true, *runs, strict=True)
        ]
        with _AtKinks(partial(_across, iter(reach))):
            parts.append(eager(double, graph, chunk))
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}


def _recorded(run: Callable[..., Arrays], *arguments: Any) -> list[torch.Tensor]:
    """The inputs of the piecewise functions that ``run(*arguments)`` calls, in float64."""
    values: list[torch.Tensor] = []

    def record(value: torch.Tensor, _: tuple[float, ...]) -> torch.Tensor:
        values.append(value.detach().double())
        return value

    with _AtKinks(record):
        run(*arguments)
    return values


def _across(
    reach: Iterator[torch.Tensor], value: torch.Tensor, kinks: tuple[float, ...]
) -> torch.Tensor:
    """``value``, on the other side of each kink that it is within the next ``reach`` of."""
    near = next(reach)
    for kink in kinks:
        beyond = kink + torch.where(value > kink, -near, near)
        moved = (value - kink).abs() <= near
        value = value + torch.where(moved, beyond - value, 0.0).detach()
    return value


class _AtKinks(TorchFunctionMode):
    """A context in which each piecewise function is given ``change(value, kinks)``."""

    def __init__(self, change: Callable[[torch.Tensor, tuple[float, ...]], torch.Tensor]) -> None:
        super().__init__()
        self.change = change

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if kinks := _kinks(func, args):
            args = (self.change(args[0], kinks), *args[1:])
        return func(*args, **(kwargs or {}))


def _kinks(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, ...]:
    """The arguments at which the derivative of ``func`` jumps."""
    if func in (torch.relu, torch.abs):
        return (0.0,)
    if func is torch.clamp:
        return tuple(bound for bound in args[1:] if bound is not None)
    return ()
