"""zuko 1.x.

``flow(c).transform`` goes data → noise. A mask is True on the *passive* half, the network of a
coupling gives shift and scale feature by feature, and the slope that bounds the scale is the
default of a function that changed twice (1e-3, 1e-4, 1e-3): so the function is asked.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy.conversion.networks import read_network
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.conversion.refusal import kinds, refusal
from rnvp_deploy.conversion.source import Piece, Source, base_piece, bring, turned
from rnvp_deploy.conversion.transforms import affine, block_order, coupling
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.transforms import Transform

__all__ = ["from_zuko"]

_AFFINE = {
    "torch.AffineTransform",
    "zuko.AdditiveTransform",
    "zuko.IdentityTransform",
    "zuko.LULinearTransform",
    "zuko.MonotonicAffineTransform",
    "zuko.PermutationTransform",
    "zuko.RotationTransform",
}
_SUPPORTED = (
    "GeneralCouplingTransform and ElementWiseTransform with an affine or additive univariate, "
    "UnconditionalTransform of AffineTransform, PermutationTransform, RotationTransform or "
    "LULinearTransform, LazyComposedTransform and inverses of these"
)


def from_zuko(
    flow: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The distribution of a ``zuko.flows.Flow`` (NICE, RealNVP, your own) as a flow of ours.

    ``columns`` and ``context_columns`` name the coordinates. Raises ConversionError.
    """
    return bring(flow, _read, columns, context_columns)


def _read(flow: Any) -> Source:
    if not (hasattr(flow, "transform") and hasattr(flow, "base")):
        raise refusal("", f"a {type(flow).__name__} is no Flow of zuko")
    loc, scale = _base(flow.base, "base")
    dim, context_dim = len(loc), _context_dim(flow, len(loc))
    pieces = _pieces(flow.transform, "transform", dim, context_dim)
    return Source(
        dim,
        context_dim,
        (*pieces, base_piece("base", loc, torch.log(scale))),
        lambda x, c: flow(c).log_prob(x),
    )


def _base(base: Any, path: str) -> tuple[Tensor, Tensor]:
    try:
        distribution = base()
    except Exception:
        raise refusal(path, "a base that depends on the context is not converted") from None
    if "torch.Independent" in kinds(distribution):
        distribution = distribution.base_dist
    if "torch.Normal" not in kinds(distribution) or distribution.loc.dim() != 1:
        raise refusal(
            path,
            f"a {type(distribution).__name__} is no base that is converted; a DiagNormal over "
            "vectors is",
        )
    return distribution.loc, distribution.scale


def _context_dim(flow: Any, dim: int) -> int:
    for module in flow.modules():
        if hasattr(module, "hyper"):
            seen = int(module.mask.sum()) if hasattr(module, "mask") else 0
            if context := module.hyper.in_features - seen:
                return int(context)
    return 0


def _pieces(module: Any, path: str, dim: int, context_dim: int) -> tuple[Piece, ...]:
    for kind in kinds(module):
        if kind == "zuko.LazyComposedTransform":
            nested = [
                _pieces(m, f"{path}.transforms.{i}", dim, context_dim)
                for i, m in enumerate(module.transforms)
            ]
            return tuple(piece for pieces in nested for piece in pieces)
        if kind == "zuko.LazyInverse":
            pieces = _pieces(module.transform, f"{path}.transform", dim, context_dim)
            return tuple(turned(piece, dim) for piece in reversed(pieces))
        if kind == "zuko.GeneralCouplingTransform" or (
            kind == "zuko.ElementWiseTransform" and hasattr(module, "hyper")
        ):
            return (_piece(module, path, (_coupling(module, path, dim, context_dim),)),)
        if kind == "zuko.ElementWiseTransform":
            _log_scale(module, path)
            return (_piece(module, path, _affine(module, path, dim)),)
        if kind in ("zuko.UnconditionalTransform", "zuko.Unconditional"):
            return (_piece(module, path, _unconditional(module, path, dim)),)
    raise _no_counterpart(module, path)


def _no_counterpart(thing: object, path: str) -> ConversionError:
    return refusal(
        path,
        f"a {type(thing).__name__} has no counterpart in an affine coupling flow; supported are "
        f"{_SUPPORTED}",
    )


def _piece(module: Any, path: str, ours: tuple[Transform, ...]) -> Piece:
    def forward(x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        z, log_det = module(c).call_and_ladj(x)
        return z, log_det.sum(-1) if log_det.dim() == 2 else log_det

    return Piece(path, ours, forward, lambda z, c: module(c).inv(z))


def _coupling(module: Any, path: str, dim: int, context_dim: int) -> Transform:
    mask = module.mask if hasattr(module, "mask") else torch.zeros(dim, dtype=torch.bool)
    passive, active = mask.nonzero()[:, 0].tolist(), (~mask).nonzero()[:, 0].tolist()
    context_dim = module.hyper.in_features - len(passive)
    layers = read_network(module.hyper, f"{path}.hyper", len(passive) + context_dim)
    log_scale = _log_scale(module, path)
    if log_scale is None:
        return coupling(passive, active, mu=layers, context_dim=context_dim)
    return coupling(
        passive,
        active,
        joint=block_order(layers, first_u=1, first_mu=0, step=2, k=len(active)),
        scale=recognise_scale(log_scale, path),
        context_dim=context_dim,
    )


def _log_scale(module: Any, path: str) -> Callable[[Tensor], Tensor] | None:
    """σ(u) of the univariate transformation that ``module`` applies; None for a mere shift."""

    def univariate(*parameters: Tensor) -> Any:
        return module.univariate(*parameters)

    kind, shapes = kinds(univariate(*map(torch.zeros, module.shapes))), list(module.shapes)
    if "zuko.AdditiveTransform" in kind and shapes == [()]:
        return None
    if "zuko.MonotonicAffineTransform" in kind and shapes == [(), ()]:
        return lambda u: univariate(0 * u, u).log_abs_det_jacobian(u, u)
    raise _no_counterpart(univariate(*map(torch.zeros, module.shapes)), path)


def _unconditional(module: Any, path: str, dim: int) -> tuple[Transform, ...]:
    transform = module()
    if not _AFFINE.intersection(kinds(transform)):
        raise _no_counterpart(transform, path)
    return _affine(module, path, dim)


def _affine(module: Any, path: str, dim: int) -> tuple[Transform, ...]:
    return affine(lambda x: module()(x), dim, path)
