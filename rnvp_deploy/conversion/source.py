"""A model of another library as its converter sees it, and the way from it to a flow of ours.

A converter only reads: it turns a model into a ``Source``, whose every ``Piece`` holds one layer
of theirs beside the transforms of ours that replace it, both in the direction data → noise. What
is the same for all libraries is here: what is refused beforehand, the copy that is read, the
assembly, the proof.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy.config import RNVPConfig
from rnvp_deploy.conversion.proof import prove
from rnvp_deploy.conversion.refusal import refusal
from rnvp_deploy.conversion.transforms import diagonal, inverted
from rnvp_deploy.flow import RNVP
from rnvp_deploy.transforms import Transform

__all__ = ["Piece", "Source", "base_piece", "bring", "turned"]

Context = Tensor | None


@dataclass(frozen=True)
class Piece:
    """One layer at ``path``: theirs as functions, ours as transforms, data → noise."""

    path: str
    ours: tuple[Transform, ...]
    forward: Callable[[Tensor, Context], tuple[Tensor, Tensor]]  # x → z, log |det dz/dx|
    inverse: Callable[[Tensor, Context], Tensor]  # z → x


@dataclass(frozen=True)
class Source:
    """A whole model. ``log_prob`` is what its own library says, not the sum of the pieces."""

    dim: int
    context_dim: int
    pieces: tuple[Piece, ...]
    log_prob: Callable[[Tensor, Context], Tensor]


def turned(piece: Piece, dim: int) -> Piece:
    """The layer that undoes ``piece``'s: libraries can invert any of theirs."""
    ours = [inverted(transform, dim, piece.path) for transform in reversed(piece.ours)]

    def forward(x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        z = piece.inverse(x, c)
        return z, -piece.forward(z, c)[1]

    return Piece(
        piece.path,
        tuple(transform for transforms in ours for transform in transforms),
        forward,
        lambda z, c: piece.forward(z, c)[0],
    )


def base_piece(path: str, loc: Tensor, log_std: Tensor) -> Piece:
    """A diagonal Gaussian base, as the map that makes a standard normal of it."""
    loc, log_std = loc.reshape(-1), log_std.reshape(-1)
    trivial = not bool(loc.any() or log_std.any())
    return Piece(
        path,
        () if trivial else (diagonal(loc, log_std),),
        lambda x, c: ((x - loc) * torch.exp(-log_std), -log_std.sum().expand(len(x))),
        lambda z, c: z * torch.exp(log_std) + loc,
    )


def bring(
    model: Any,
    read: Callable[[Any], Source],
    columns: Sequence[str] | None,
    context_columns: Sequence[str] | None,
) -> RNVP:
    """Convert ``model``: the same distribution as a flow of ours, in eval mode and its dtype.

    The model and the state of torch's random generator are left as they were.

    Raises:
        ConversionError: a layer has no counterpart, or ours does not compute what theirs does.
    """
    if not isinstance(model, nn.Module):
        raise refusal("", f"a {type(model).__name__} is no model; give the flow itself")
    dtype = _dtype(model)
    _refuse_training(model)
    with torch.random.fork_rng(devices=[]):
        source = read(_twin(model))
        flow = _assemble(source, columns, context_columns)
    prove(source, flow)
    return flow.to(dtype).eval()


def _assemble(
    source: Source, columns: Sequence[str] | None, context_columns: Sequence[str] | None
) -> RNVP:
    transforms: list[Any] = [transform for piece in source.pieces for transform in piece.ours]
    if not transforms:
        raise refusal("", "it has no transform")
    flow = RNVP(
        RNVPConfig(
            dim=source.dim,
            context_dim=source.context_dim,
            standardise=False,
            layers=tuple(transform.spec for transform in transforms),
        ),
        None if columns is None else tuple(columns),
        None if context_columns is None else tuple(context_columns),
    )
    flow.transforms = nn.ModuleList(transforms)
    return flow


def _dtype(model: nn.Module) -> torch.dtype:
    found: dict[torch.dtype, str] = {}
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            found.setdefault(parameter.dtype, name)
    for dtype, name in found.items():
        if dtype not in (torch.float32, torch.float64):
            raise refusal(name, f"{dtype} weights are not converted; use float32: model.float()")
    if len(found) > 1:
        raise refusal(
            list(found.values())[1], "weights of several dtypes; choose one: model.float()"
        )
    return next(iter(found), torch.get_default_dtype())


def _refuse_training(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if module.training:
            raise refusal(name, "it is in training mode; call eval() on the model first")


def _twin(model: nn.Module) -> nn.Module:
    """A copy in float64 on the CPU, with nothing cached from earlier calls."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            # What a call has left behind (a cached matrix, say) may hang on a graph of
            # gradients, which deepcopy refuses to copy.
            for tensor in (value, *getattr(value, "__dict__", {}).values()):
                if isinstance(tensor, Tensor) and not tensor.is_leaf:
                    memo[id(tensor)] = tensor.detach().clone()
    twin = copy.deepcopy(model, memo)
    twin = nn.Module.to(twin, device="cpu", dtype=torch.float64).train().eval()
    for module in twin.modules():
        for hook in module._forward_pre_hooks.values():
            # Weight norm, spectral norm and pruning make a layer's weight when it is called.
            if type(hook).__module__.startswith("torch.nn.utils."):
                hook(module, None)
    return twin
