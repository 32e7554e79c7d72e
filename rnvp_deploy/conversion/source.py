"""The result of a reader: the layers of another library's model, each with its replacement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from rnvp_deploy import ir

__all__ = ["Context", "Reader", "SourceFlow", "SourceLayer", "base_layer", "inverse_layer"]

Context: TypeAlias = Tensor | None


@dataclass(frozen=True)
class SourceLayer:
    """One layer of a model, in the direction data → latent.

    path:        of the layer in the model, such as ``_transform._transforms.3``.
    transforms:  what replaces the layer.
    forward:     the layer itself: x (n, d), context (n, c) → z (n, d), log |det dz/dx| (n,).
    inverse:     the layer itself: z (n, d), context (n, c) → x (n, d).
    """

    path: str
    transforms: tuple[ir.Transform, ...]
    forward: Callable[[Tensor, Context], tuple[Tensor, Tensor]]
    inverse: Callable[[Tensor, Context], Tensor]


@dataclass(frozen=True)
class SourceFlow:
    """A whole model. ``log_prob`` is what its library computes, not the sum over the layers."""

    dim: int
    context_dim: int
    layers: tuple[SourceLayer, ...]
    log_prob: Callable[[Tensor, Context], Tensor]


@dataclass(frozen=True)
class Reader:
    """How one library's models are recognised and read.

    library:  the name of its package; ``from_<library>``, in lower case, is made from it.
    is_flow:  whether a module has what ``read`` needs.
    read:     the model, in float64 and eval mode → its layers. Raises ConversionError.
    holders:  types of the library that hold a flow, and the attribute that is the flow.
    title:    how a message calls its models; "a flow of <library>" if empty.
    """

    library: str
    is_flow: Callable[[Any], bool]
    read: Callable[[Any], SourceFlow]
    holders: Mapping[str, str] = field(default_factory=dict)
    title: str = ""


def inverse_layer(layer: SourceLayer) -> SourceLayer:
    """The layer whose forward direction is the inverse of ``layer``."""

    def forward(x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        z = layer.inverse(x, c)
        return z, -layer.forward(z, c)[1]

    return SourceLayer(
        layer.path,
        tuple(ir.inverse(transform) for transform in reversed(layer.transforms)),
        forward,
        lambda z, c: layer.forward(z, c)[0],
    )


def base_layer(path: str, loc: Tensor, log_std: Tensor) -> SourceLayer:
    """A diagonal Gaussian base, as the affine map from it to a standard normal."""
    loc, log_std = loc.detach().reshape(-1), log_std.detach().reshape(-1)
    standard = not bool(loc.any() or log_std.any())
    return SourceLayer(
        path,
        () if standard else (ir.DiagonalAffine(loc.numpy(), log_std.numpy()),),
        lambda x, c: ((x - loc) * torch.exp(-log_std), -log_std.sum().expand(len(x))),
        lambda z, c: z * torch.exp(log_std) + loc,
    )
