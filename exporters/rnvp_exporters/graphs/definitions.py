"""The graphs of a bundle: their names, inputs and outputs, and the module of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from rnvp_exporters.graphs.gradient import gradient
from rnvp_exporters.graphs.modules import Density, Inverse, Sampler
from rnvp_exporters.graphs.operators import Operators
from rnvp_exporters.lowering import Lowered

__all__ = ["INTEGERS", "GraphDefinition", "graph_definitions"]

Shape: TypeAlias = tuple[int | str, ...]

INTEGERS = ("seed", "start", "count")
"""The inputs that are int64; all others are floats."""


@dataclass(frozen=True)
class GraphDefinition:
    """One graph: its module, and the names and shapes of its inputs and outputs.

    The "n" in a shape is the batch; in the sampler, its count.
    """

    name: str
    module: Callable[[Lowered, Operators, torch.dtype], nn.Module]
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]


def graph_definitions(dim: int, context_dim: int) -> list[GraphDefinition]:
    """The four graphs of a flow of ``dim`` coordinates and ``context_dim`` conditions."""
    rows: Shape = ("n", dim)
    vector: Shape = ("n",)
    context: dict[str, Shape] = {"context": ("n", context_dim)} if context_dim else {}
    scalars: dict[str, Shape] = dict.fromkeys(("seed", "start", "count", "temperature"), ())
    density, inverse = {"log_prob": vector, "z": rows}, {"x": rows, "log_prob": vector}
    derivatives = {"log_prob": vector, "grad_x": rows}
    if context:
        derivatives["grad_context"] = context["context"]
    return [
        GraphDefinition("density", Density, {"x": rows, **context}, density),
        GraphDefinition("inverse", Inverse, {"z": rows, **context}, inverse),
        GraphDefinition("sampler", Sampler, {**scalars, **context}, inverse),
        GraphDefinition("gradient", gradient, {"x": rows, **context}, derivatives),
    ]
