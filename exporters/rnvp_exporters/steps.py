"""What an inference graph is made of, between its inputs and its sum.

The coordinates lie in one or two tensors, the *parts*. A step's ``forward(parts, context)`` takes
the list of them, each (n, width), replaces one, and gives back the log-scales that it multiplied
by, (n, width), or None where they are constant. Weights are float64 until the whole is cast.
"""

from itertools import chain
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from rnvp_deploy.networks import Network
from rnvp_deploy.transforms import Coupling, DiagonalAffine, Linear
from rnvp_exporters.emitted import DenseLayer, Emitted
from rnvp_exporters.folded_scales import Confined, fold_scale
from rnvp_exporters.surgery import ending_dense, heads, place, starting_dense

__all__ = [
    "Affine",
    "AffineStep",
    "Direction",
    "Join",
    "LinearStep",
    "LoweredCoupling",
    "Parts",
    "Split",
]

Parts: TypeAlias = tuple[tuple[int, ...], ...]
"""Which coordinates each part holds, in its own order."""

Direction: TypeAlias = Literal["forward", "inverse"]


class LoweredCoupling(nn.Module):
    """A coupling whose index sets are written into its weights, and its sign into its σ.

    One way it is b e^s + μ, the other (b − μ) e^s, with s the log-determinant of the way it goes.
    """

    def __init__(self, coupling: Coupling, parts: Parts, direction: Direction) -> None:
        super().__init__()
        spec = coupling.spec
        self.multiply_first = spec.inverted == (direction == "inverse")
        self.writes = next(i for i, part in enumerate(parts) if set(spec.active) <= set(part))
        self.reads = next(i for i, part in enumerate(parts) if set(spec.passive) <= set(part))
        self.takes_context = bool(spec.context_dim)
        source, target = parts[self.reads], parts[self.writes]
        width = len(source) + spec.context_dim
        seen = [source.index(c) for c in spec.passive] + list(range(len(source), width))
        rows = [target.index(c) for c in spec.active]
        k = len(rows)

        self.trunk: Emitted | None = None
        sig, mu = coupling.sig_net, coupling.mu_net
        if coupling.joint_net is not None:
            trunk, (sig, mu) = heads(coupling.joint_net, k, 2)
            if trunk is not None:
                trunk = place(starting_dense(trunk, spec.inputs), seen, width, inputs=True)
                self.trunk = Emitted(trunk)

        def placed(network: Network) -> Network:
            if self.trunk is None:
                network = place(starting_dense(network, spec.inputs), seen, width, inputs=True)
            return place(network, rows, len(target), inputs=False)

        self.sig_net = self.mu_net = None
        if sig is not None:
            scale, sig = fold_scale(spec.scale, ending_dense(sig, k), self.multiply_first)
            self.sig_net = Emitted(placed(sig))
            self.scale = scale if k == len(target) else Confined(scale, rows, len(target))
        if mu is not None:
            self.mu_net = Emitted(placed(ending_dense(mu, k)))

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


class LinearStep(nn.Module):
    """A dense linear, or its inverse by a W⁻¹ computed now; there is one part."""

    def __init__(self, linear: Linear, direction: Direction) -> None:
        super().__init__()
        weight, bias = linear.matrix(), linear.bias
        if direction == "inverse":
            weight = torch.linalg.inv(weight)
            bias = -weight @ bias
        self.map = DenseLayer(weight, bias)

    def forward(self, parts: list[Tensor], context: Tensor | None) -> None:
        parts[0] = self.map(parts[0])


class Affine(nn.Module):
    """A diagonal affine: (x − loc) / scale forward, z · scale + loc back; at most two nodes.

    The shift is applied where the numbers are in their own units, never after a product has
    rounded them.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, affine: DiagonalAffine, direction: Direction) -> None:
        super().__init__()
        self.forwards = direction == "forward"
        loc, scale = affine.loc.detach(), torch.exp(affine.log_scale.detach())
        self.shifts, self.scales = bool((loc != 0).any()), bool((scale != 1).any())
        self.register_buffer("loc", -loc if self.forwards else loc.clone())
        self.register_buffer("scale", 1 / scale if self.forwards else scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.forwards and self.shifts:
            x = x + self.loc
        if self.scales:
            x = x * self.scale
        if not self.forwards and self.shifts:
            x = x + self.loc
        return x


class AffineStep(nn.Module):
    """An affine that no rewrite could move to an end, on each part."""

    def __init__(self, affine: DiagonalAffine, parts: Parts, direction: Direction) -> None:
        super().__init__()
        pieces = [affine.restricted(list(part)) for part in parts]
        self.pieces = nn.ModuleList([Affine(piece, direction) for piece in pieces])

    def forward(self, parts: list[Tensor], context: Tensor | None) -> None:
        parts[:] = [piece(part) for piece, part in zip(self.pieces, parts, strict=True)]


class Split(nn.Module):
    """(n, d) → the parts: coordinate c of the flow lies in column ``columns.index(c)``."""

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
    """The parts → (n, d): the inverse of ``Split``."""

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
