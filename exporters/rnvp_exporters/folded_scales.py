"""Scale functions in a graph: cheaper, exact in float64, and 0 where nothing moves."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rnvp_deploy.networks import Network
from rnvp_deploy.scales import Atan, Centred, LogSigmoid, LogSigmoidPlus, Scale, Sigmoid, Tanh

__all__ = ["Confined", "fold_scale"]


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
