"""What an inference graph is made of, between its inputs and its sum.

The coordinates lie in one or two tensors, the *parts*. A step's ``forward(parts, context)`` takes
the list of them, each (n, width), replaces one, and gives back the log-scales that it multiplied
by, (n, width), or None where they are constant. Weights are float64 until the whole is cast.
"""

from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from rnvp_deploy.networks import Network, ResidualBlock
from rnvp_deploy.scales import Atan, Centred, LogSigmoid, LogSigmoidPlus, Scale, Sigmoid, Tanh
from rnvp_deploy.transforms import Coupling, DiagonalAffine, Linear
from rnvp_exporters.surgery import ending_dense, heads, place, starting_dense

__all__ = ["Affine", "Direction", "Join", "LinearStep", "LoweredCoupling", "Parts", "Split"]

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


def fold_scale(scale: Scale, network: Network, positive: bool) -> tuple[Scale, Network]:
    """A scale function and the network before it as a cheaper pair, giving ±σ.

    What a scale function does to its argument first (÷ width, + shift) and, where it is odd, its
    sign go into the network's last layer.
    """
    last = network.layers[-1]
    assert isinstance(last, nn.Linear)
    match scale:
        case Tanh():
            scale, gain = replace(scale, width=1.0), 1 / scale.width
        case Sigmoid():
            scale, gain = Tanh(scale.bound), 0.5
        case LogSigmoid() | LogSigmoidPlus():
            last.bias.add_(scale.shift)
            scale, gain = replace(scale, shift=0.0), 1.0
        case _:
            gain = 1.0
    if isinstance(scale, Atan) and last.weight.dtype == torch.float64:
        scale = RefinedAtan(scale.bound)
    if not positive:
        if scale.odd:
            gain = -gain
        elif isinstance(scale, LogSigmoid):
            scale = replace(scale, sign=-scale.sign)
        else:
            scale = Negated(scale)
    if gain != 1.0:
        last.weight.mul_(gain)
        last.bias.mul_(gain)
    return scale, network


@dataclass(frozen=True)
class Negated(Scale):
    """−σ of a scale function that is not odd."""

    inner: Scale

    def __call__(self, u: Tensor) -> Tensor:
        return -self.inner(u)


@dataclass(frozen=True)
class RefinedAtan(Atan):
    """``Atan``, in float64 by a float32 atan and one Newton step.

    onnxruntime has no float64 Atan. With y ≈ atan u, atan u = y + (u cos y − sin y) /
    (cos y + u sin y) + O(δ³), where δ ≈ 10⁻⁷ is what y is wrong by.
    """

    def __call__(self, u: Tensor) -> Tensor:
        if u.dtype != torch.float64:
            return super().__call__(u)
        y = torch.atan(u.float()).double()
        sin, cos = torch.sin(y), torch.cos(y)
        return (y + (u * cos - sin) / (cos + u * sin)) * (0.636 * self.bound)


class Confined(nn.Module):
    """A scale function on some of a part's coordinates; σ = 0 on the others, exactly."""

    def __init__(self, scale: Scale, rows: list[int], width: int) -> None:
        super().__init__()
        self.scale = scale
        mask = torch.zeros(width, dtype=torch.float64)
        mask[rows] = 1
        centred = isinstance(scale, Centred) or isinstance(getattr(scale, "inner", None), Centred)
        self.matrix: Tensor | None
        self.mask: Tensor | None
        # Zero weights give u = 0 there. A mean must be over the coordinates that move alone, so
        # that σ − mean(σ) is a matrix: 1 − 1/k among them, 0 elsewhere.
        matrix = torch.diag(mask) - torch.outer(mask, mask) / len(rows)
        self.register_buffer("matrix", matrix if centred else None)
        self.register_buffer("mask", None if scale.zero_at_zero or centred else mask)

    def forward(self, u: Tensor) -> Tensor:
        if self.matrix is not None:
            return _uncentred(self.scale)(u) @ self.matrix
        sigma = self.scale(u)
        return sigma if self.mask is None else sigma * self.mask


def _uncentred(scale: Scale) -> Scale:
    match scale:
        case Centred():
            return scale.inner
        case Negated():
            return Negated(_uncentred(scale.inner))
    return scale


class Emitted(nn.Module):
    """A network as a graph holds it: each dense layer one addmm, its weights (inputs, outputs)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_emitted(layer) for layer in network.layers])

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        for layer in self.layers:
            h = layer(h, context) if isinstance(layer, EmittedResidual) else layer(h)
        return h


class EmittedResidual(nn.Module):
    """A residual block, gated by the context or not."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.body = Emitted(block.body)
        self.gate = None if block.gate is None else DenseLayer(block.gate.weight, block.gate.bias)

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        change: Tensor = self.body(h, context)
        if self.gate is not None and context is not None:
            change = change * torch.sigmoid(self.gate(context))
        return h + change


class DenseLayer(nn.Module):
    """h ↦ h · weightᵀ + bias as one addmm."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().T.contiguous())
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, h: Tensor) -> Tensor:
        return torch.addmm(self.bias, h, self.weight)


def _emitted(layer: nn.Module) -> nn.Module:
    match layer:
        case nn.Linear():
            return DenseLayer(layer.weight, layer.bias)
        case ResidualBlock():
            return EmittedResidual(layer)
    return layer


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
