"""Rows whose gradient is one of two values: an activation's input lies at a kink.

ReLU, the absolute value and clamps are continuous, and their derivatives jump. Where rounding
decides on which side of a kink an input lies, two correct engines may differ by the whole jump. The
error that this permits on a row is measured: it is that of the flow with each such input on the
other side.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    rows = len(next(iter(inputs.values())))
    parts = [
        _other_side(
            flow, graph, {name: value[i : i + CHUNK] for name, value in inputs.items()}, dtype
        )
        for i in range(0, rows, CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}


def _other_side(flow: RNVP, graph: GraphDefinition, inputs: Arrays, dtype: torch.dtype) -> Arrays:
    double = copy.deepcopy(flow).double()
    with _Recorded() as true:
        eager(double, graph, inputs)
    with _Recorded() as own:
        eager(copy.deepcopy(flow).to(dtype), graph, inputs)
    with _Recorded() as moved:
        perturbed(double, graph, inputs, 0, dtype)
    reach = [
        MARGIN * torch.maximum((a - t).abs(), (b - t).abs()).amax(-1, keepdim=True)
        for t, a, b in zip(true.values, own.values, moved.values, strict=True)
    ]
    with _Moved(iter(reach)):
        return eager(double, graph, inputs)


class _Recorded(TorchFunctionMode):
    """A context that records the inputs of piecewise functions, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[torch.Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if _kinks(func, args):
            self.values.append(args[0].detach().double())
        return func(*args, **(kwargs or {}))


class _Moved(TorchFunctionMode):
    """A context in which inputs within ``reach`` of a kink lie on its other side."""

    def __init__(self, reach: Iterator[torch.Tensor]) -> None:
        super().__init__()
        self.reach = reach

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if kinks := _kinks(func, args):
            value, reach = args[0], next(self.reach)
            for kink in kinks:
                beyond = kink + torch.where(value > kink, -reach, reach)
                near = (value - kink).abs() <= reach
                value = value + torch.where(near, beyond - value, 0.0).detach()
            args = (value, *args[1:])
        return func(*args, **(kwargs or {}))


def _kinks(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, ...]:
    """The arguments at which the derivative of ``func`` jumps."""
    if func in (torch.relu, torch.abs):
        return (0.0,)
    if func is torch.clamp:
        return tuple(bound for bound in args[1:] if bound is not None)
    return ()
