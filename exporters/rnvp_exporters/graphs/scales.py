"""Scale functions in a graph: accurate in float64, and 0 for coordinates that do not move."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from rnvp_deploy.ir import Network
from rnvp_deploy.ir.networks import scale_outputs
from rnvp_deploy.scales import Atan, Centred, Scale

__all__ = ["MaskedScale", "Negated", "signed_scale"]


def signed_scale(
    scale: Scale, head: Network, width: int, positive: bool, *, in_weights: bool = True
) -> tuple[Scale, Network]:
    """A scale function and the network before it, together ±σ.

    An odd function takes its sign from the network's last layer (with ``in_weights``), so that a
    negative σ costs no node.
    """
    if isinstance(scale, Atan):
        scale = RefinedAtan(scale.bound)
    if positive:
        return scale, head
    if scale.odd and in_weights:
        return scale, scale_outputs(head, np.full(width, -1.0), np.zeros(width))
    return scale.negated() or Negated(scale), head


@dataclass(frozen=True)
class Negated(Scale):
    """−σ of a scale function."""

    inner: Scale

    def __call__(self, u: Tensor) -> Tensor:
        return -self.inner(u)


@dataclass(frozen=True)
class RefinedAtan(Atan):
    """``Atan``; in float64 by a float32 atan and one Newton step.

    onnxruntime has no float64 Atan. With y ≈ atan u, atan u = y + (u cos y − sin y) /
    (cos y + u sin y) + O(δ³), where δ ≈ 10⁻⁷ is the error of y. With y taken as a constant, the
    derivative by u is 1 / (cos y + u sin y)² = 1 / (1 + u²) + O(δ²).
    """

    def __call__(self, u: Tensor) -> Tensor:
        if u.dtype != torch.float64:
            return super().__call__(u)
        y = torch.atan(u.detach().float()).double()
        sin, cos = torch.sin(y), torch.cos(y)
        return (y + (u * cos - sin) / (cos + u * sin)) * (0.636 * self.bound)


class MaskedScale(nn.Module):
    """A scale function on the active columns of a part; σ = 0 exactly on the others."""

    def __init__(self, scale: Scale, active: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.scale, self.is_centred = _without_centring(scale)
        mask = torch.zeros(width, dtype=torch.float64)
        mask[list(active)] = 1
        self.matrix: Tensor | None
        self.mask: Tensor | None
        # Zero weights give u = 0 for the others. The mean of a centred σ is over the active columns
        # alone: σ − mean(σ) is then a matrix, 1 − 1/k among them and 0 elsewhere.
        matrix = torch.diag(mask) - torch.outer(mask, mask) / len(active)
        self.register_buffer("matrix", matrix if self.is_centred else None)
        masked = not (scale.zero_at_zero or self.is_centred)
        self.register_buffer("mask", mask if masked else None)

    def forward(self, u: Tensor) -> Tensor:
        sigma = self.scale(u)
        if self.matrix is not None:
            return sigma @ self.matrix
        return sigma if self.mask is None else sigma * self.mask


def _without_centring(scale: Scale) -> tuple[Scale, bool]:
    """The scale function before its mean is subtracted, and whether there is such a step."""
    match scale:
        case Centred():
            return scale.inner, True
        case Negated():
            inner, is_centred = _without_centring(scale.inner)
            return replace(scale, inner=inner), is_centred
    return scale, False
