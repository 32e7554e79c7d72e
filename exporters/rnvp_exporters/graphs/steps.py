"""The steps of a graph between its inputs and its sum.

The coordinates lie in one or two tensors, the *parts*. ``forward(parts, context)`` of a step takes
the list of them, each (n, width), replaces one or all, and returns the log-derivatives, (n, width),
or None where they are constant. Weights are float64 until the whole module is cast.
"""

from itertools import chain
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from rnvp_deploy.ir import DiagonalAffine, Linear, Permutation
from rnvp_deploy.ir.networks import freeze
from rnvp_deploy.maps import Affine, ElementwiseMap
from rnvp_exporters.graphs.networks import GraphDense, GraphNetwork
from rnvp_exporters.graphs.operators import Operators
from rnvp_exporters.graphs.scales import MaskedScale, signed_scale
from rnvp_exporters.lowering import Parts, PlacedCoupling
from rnvp_exporters.lowering.placement import Step

__all__ = [
    "COUPLING_STEPS",
    "AffineCouplingStep",
    "CouplingStep",
    "DiagonalStep",
    "Direction",
    "Join",
    "Split",
    "step",
]

Direction: TypeAlias = Literal["forward", "inverse"]


def step(lowered: Step, parts: Parts, direction: Direction, operators: Operators) -> nn.Module:
    """The module of one step."""
    match lowered:
        case PlacedCoupling():
            kind = COUPLING_STEPS.get(type(lowered.map), CouplingStep)
            return kind(lowered, direction, operators)
        case Linear():
            return LinearStep(lowered, direction)
        case DiagonalAffine():
            return SplitDiagonalStep(lowered, parts, direction)
        case Permutation():
            return PermutationStep(lowered, direction)


class CouplingStep(nn.Module):
    """A coupling with any elementwise map: the map's own PyTorch code, as eager runs it."""

    active: Tensor

    def __init__(
        self, coupling: PlacedCoupling, direction: Direction, operators: Operators
    ) -> None:
        super().__init__()
        forward = coupling.inverted == (direction == "inverse")
        self.move = coupling.map.forward if forward else coupling.map.inverse
        self.reads, self.writes = coupling.reads, coupling.writes
        self.takes_context = bool(coupling.context_dim)
        self.trunk = GraphNetwork(coupling.trunk)
        self.heads = nn.ModuleDict(
            {name: GraphNetwork(head) for name, head in coupling.heads.items()}
        )
        self.is_whole = len(coupling.active) == coupling.width
        active = torch.zeros(coupling.width, dtype=torch.bool)
        active[list(coupling.active)] = True
        self.register_buffer("active", active)

    def forward(self, parts: list[Tensor], context: Tensor | None) -> Tensor:
        seen = parts[self.reads]
        if self.takes_context and context is not None:
            seen = torch.cat([seen, context], -1)
        seen, b = self.trunk(seen, context), parts[self.writes]
        moved, log_derivative = self.move(
            b, {name: head(seen, context) for name, head in self.heads.items()}
        )
        if not self.is_whole:  # the map may round where its parameters are 0
            moved = torch.where(self.active, moved, b)
            log_derivative = torch.where(self.active, log_derivative, 0.0)
        parts[self.writes] = moved
        return log_derivative


class AffineCouplingStep(nn.Module):
    """An affine coupling whose direction is written into its σ.

    It computes b e^s + μ in one direction and (b − μ) e^s in the other, where s is ±σ: the
    log-determinant of the direction that it computes.
    """

    def __init__(
        self, coupling: PlacedCoupling, direction: Direction, operators: Operators
    ) -> None:
        super().__init__()
        assert isinstance(coupling.map, Affine)
        self.multiply_first = coupling.inverted == (direction == "inverse")
        self.reads, self.writes = coupling.reads, coupling.writes
        self.takes_context = bool(coupling.context_dim)
        width = coupling.width
        self.trunk = GraphNetwork(coupling.trunk) if coupling.trunk else None
        self.sig_net = self.mu_net = None
        if (head := coupling.heads.get("sig")) is not None:
            scale, head = signed_scale(
                coupling.map.scale,
                head,
                width,
                self.multiply_first,
                in_weights=operators.signs_in_weights,
            )
            self.sig_net = GraphNetwork(head)
            whole = len(coupling.active) == width
            self.scale = scale if whole else MaskedScale(scale, coupling.active, width)
        if (head := coupling.heads.get("mu")) is not None:
            self.mu_net = GraphNetwork(head)

    def forward(self, parts: list[Tensor], context: Tensor | None) -> Tensor | None:
        seen = parts[self.reads]
        if self.takes_context and context is not None:
            seen = torch.cat([seen, context], -1)
        if self.trunk is not None:
            seen = self.trunk(seen, context)
        b, s = parts[self.writes], None
        if self.sig_net is not None:
            s = self.scale(self.sig_net(seen, context))
        mu = None if self.mu_net is None else self.mu_net(seen, context)
        if self.multiply_first:
            b = b if s is None else b * torch.exp(s)
            b = b if mu is None else b + mu
        else:
            b = b if mu is None else b - mu
            b = b if s is None else b * torch.exp(s)
        parts[self.writes] = b
        return s


COUPLING_STEPS: dict[type[ElementwiseMap], type[AffineCouplingStep]] = {Affine: AffineCouplingStep}
"""Steps that need fewer nodes than ``CouplingStep``, by the class of the elementwise map."""


class LinearStep(nn.Module):
    """A dense linear, or its inverse with W⁻¹ computed now; there is one part."""

    def __init__(self, linear: Linear, direction: Direction) -> None:
        super().__init__()
        weight, bias = linear.weight, linear.bias
        if direction == "inverse":
            weight = freeze(np.linalg.inv(weight))
            bias = -weight @ bias
        self.map = GraphDense(weight, bias)

    def forward(self, parts: list[Tensor], context: Tensor | None) -> None:
        parts[0] = self.map(parts[0])


class PermutationStep(nn.Module):
    """A permutation that was not renamed away; there is one part."""

    order: Tensor

    def __init__(self, permutation: Permutation, direction: Direction) -> None:
        super().__init__()
        order = permutation.order if direction == "forward" else permutation.inverse
        self.register_buffer("order", torch.tensor(order))

    def forward(self, parts: list[Tensor], context: Tensor | None) -> None:
        parts[0] = torch.index_select(parts[0], 1, self.order)


class DiagonalStep(nn.Module):
    """A diagonal affine: (x − loc) / scale forward, z · scale + loc inverse; at most two nodes.

    The shift is applied in the data's units, before a division or after a product, so that it is
    exact where the data are close to ``loc``.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, affine: DiagonalAffine, direction: Direction) -> None:
        super().__init__()
        self.forwards = direction == "forward"
        loc, scale = torch.tensor(affine.loc), torch.tensor(affine.scale)
        self.shifts, self.scales = bool((loc != 0).any()), bool((scale != 1).any())
        self.register_buffer("loc", -loc if self.forwards else loc)
        self.register_buffer("scale", 1 / scale if self.forwards else scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.forwards and self.shifts:
            x = x + self.loc
        if self.scales:
            x = x * self.scale
        if not self.forwards and self.shifts:
            x = x + self.loc
        return x


class SplitDiagonalStep(nn.Module):
    """An affine that no rewrite could move to an end, on each part."""

    def __init__(self, affine: DiagonalAffine, parts: Parts, direction: Direction) -> None:
        super().__init__()
        pieces = [affine.restricted(list(part)) for part in parts]
        self.pieces = nn.ModuleList([DiagonalStep(piece, direction) for piece in pieces])

    def forward(self, parts: list[Tensor], context: Tensor | None) -> None:
        parts[:] = [piece(part) for piece, part in zip(self.pieces, parts, strict=True)]


class Split(nn.Module):
    """(n, d) → the parts, where coordinate c of the flow is column ``columns.index(c)``."""

    def __init__(self, parts: Parts, columns: tuple[int, ...]) -> None:
        super().__init__()
        taken = [[columns.index(c) for c in part] for part in parts]
        self.sizes = [len(part) for part in parts]
        self.in_order = list(chain(*taken)) == list(range(len(columns)))
        for i, index in enumerate(taken):
            self.register_buffer(f"index{i}", torch.tensor(index))

    def forward(self, x: Tensor) -> list[Tensor]:
        if self.in_order:
            return list(torch.split(x, self.sizes, -1)) if len(self.sizes) > 1 else [x]
        return [
            torch.index_select(x, 1, getattr(self, f"index{i}")) for i in range(len(self.sizes))
        ]


class Join(nn.Module):
    """The parts → (n, d), the inverse of ``Split``."""

    order: Tensor

    def __init__(self, parts: Parts, columns: tuple[int, ...]) -> None:
        super().__init__()
        joined = list(chain(*parts))
        order = [joined.index(c) for c in columns]
        self.in_order = order == list(range(len(order)))
        self.register_buffer("order", torch.tensor(order))

    def forward(self, parts: list[Tensor]) -> Tensor:
        x = torch.cat(parts, -1) if len(parts) > 1 else parts[0]
        return x if self.in_order else torch.index_select(x, 1, self.order)
