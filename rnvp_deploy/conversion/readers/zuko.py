"""zuko 1.x.

``flow(c).transform`` goes data → latent. A mask is True on the *passive* half. The network of a
coupling gives shift and scale feature by feature. The slope that bounds the scale is a default
that changed twice (1e-3, 1e-4, 1e-3), so the scale function is recognised by what it computes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy import ir
from rnvp_deploy.conversion.affine import read_affine
from rnvp_deploy.conversion.context_width import context_width
from rnvp_deploy.conversion.couplings import coupling, pick_outputs
from rnvp_deploy.conversion.networks import first_width, read_network
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.conversion.refusal import LayerError, located, refusal, type_names
from rnvp_deploy.conversion.source import (
    Context,
    Reader,
    SourceFlow,
    SourceLayer,
    base_layer,
    inverse_layer,
)

__all__ = ["READER"]

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


def _is_flow(module: Any) -> bool:
    return hasattr(module, "transform") and hasattr(module, "base")


def _read(flow: Any) -> SourceFlow:
    if not _is_flow(flow):
        raise refusal("", f"a {type(flow).__name__} is not a Flow of zuko")
    loc, scale = _base(flow.base, "base")

    def log_prob(x: Tensor, c: Context) -> Tensor:
        result: Tensor = flow(c).log_prob(x)
        return result

    dim = len(loc)
    context_dim = context_width(log_prob, dim, _context_widths(flow))
    layers = _layers(flow.transform, "transform", dim, context_dim)
    base = base_layer("base", loc, torch.log(scale))
    return SourceFlow(dim, context_dim, (*layers, base), log_prob)


@located
def _base(base: Any, path: str) -> tuple[Tensor, Tensor]:
    try:
        distribution = base() if callable(base) else base
    except Exception:
        raise refusal(path, "a base that depends on the context is not converted") from None
    if distribution is base:
        raise refusal(
            path,
            f"a base distribution of type {type(base).__name__} is not a base of zuko; give an "
            "UnconditionalDistribution",
        )
    if "torch.Independent" in type_names(distribution):
        distribution = distribution.base_dist
    if "torch.Normal" not in type_names(distribution) or distribution.loc.dim() != 1:
        raise refusal(
            path,
            f"a base distribution of type {type(distribution).__name__} is not converted; a "
            "DiagNormal over vectors is",
        )
    return distribution.loc, distribution.scale


def _context_widths(flow: Any) -> Iterator[int]:
    for module in flow.modules():
        if width := first_width(getattr(module, "hyper", None)):
            mask = getattr(module, "mask", None)
            yield width - (int(mask.sum()) if isinstance(mask, Tensor) else 0)


@located
def _layers(module: Any, path: str, dim: int, context_dim: int) -> tuple[SourceLayer, ...]:
    for kind in type_names(module):
        if kind == "zuko.LazyComposedTransform":
            nested = [
                _layers(m, f"{path}.transforms.{i}", dim, context_dim)
                for i, m in enumerate(module.transforms)
            ]
            return tuple(layer for layers in nested for layer in layers)
        if kind == "zuko.LazyInverse":
            layers = _layers(module.transform, f"{path}.transform", dim, context_dim)
            return tuple(inverse_layer(layer) for layer in reversed(layers))
        if kind == "zuko.GeneralCouplingTransform" or (
            kind == "zuko.ElementWiseTransform" and hasattr(module, "hyper")
        ):
            return (_layer(module, path, (_coupling(module, path, dim, context_dim),)),)
        if kind == "zuko.ElementWiseTransform":
            _log_scale(module, path)
            return (_layer(module, path, _affine(module, path, dim)),)
        if kind in ("zuko.UnconditionalTransform", "zuko.Unconditional"):
            return (_layer(module, path, _unconditional(module, path, dim)),)
    raise _no_counterpart(module, path)


def _no_counterpart(thing: object, path: str) -> LayerError:
    return refusal(
        path,
        f"a {type(thing).__name__} has no counterpart in an affine coupling flow; supported are "
        f"{_SUPPORTED}",
    )


def _layer(module: Any, path: str, transforms: tuple[ir.Transform, ...]) -> SourceLayer:
    def forward(x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        z, log_det = module(c).call_and_ladj(x)
        return z, log_det.sum(-1) if log_det.dim() == 2 else log_det

    return SourceLayer(path, transforms, forward, lambda z, c: module(c).inv(z))


def _coupling(module: Any, path: str, dim: int, context_dim: int) -> ir.Coupling:
    mask = module.mask if hasattr(module, "mask") else torch.zeros(dim, dtype=torch.bool)
    if len(mask) != dim:
        raise refusal(path, f"its mask has {len(mask)} values; the flow has {dim} coordinates")
    passive, active = mask.nonzero()[:, 0].tolist(), (~mask).nonzero()[:, 0].tolist()
    if not active or not passive + [0] * context_dim:
        return coupling(path, passive, active)  # refused there
    if first_width(module.hyper) == len(passive):
        context_dim = 0
    inputs, k = len(passive) + context_dim, len(active)
    network = read_network(module.hyper, f"{path}.hyper", inputs)
    log_scale = _log_scale(module, path)
    if log_scale is None:
        return coupling(path, passive, active, mu=network, context_dim=context_dim)
    return coupling(
        path,
        passive,
        active,
        joint=pick_outputs(path, network, [*range(1, 2 * k, 2), *range(0, 2 * k, 2)], 2 * k),
        scale=recognise_scale(log_scale, path),
        context_dim=context_dim,
    )


def _log_scale(module: Any, path: str) -> Callable[[Tensor], Tensor] | None:
    """σ(u) of the univariate transformation that ``module`` applies; None for a shift alone."""

    def univariate(*parameters: Tensor) -> Any:
        return module.univariate(*parameters)

    example = univariate(*map(torch.zeros, module.shapes))
    kinds, shapes = type_names(example), list(module.shapes)
    if "zuko.AdditiveTransform" in kinds and shapes == [()]:
        return None
    if "zuko.MonotonicAffineTransform" in kinds and shapes == [(), ()]:
        return lambda u: univariate(0 * u, u).log_abs_det_jacobian(u, u)
    raise _no_counterpart(example, path)


def _unconditional(module: Any, path: str, dim: int) -> tuple[ir.Transform, ...]:
    transform = module()
    if not _AFFINE.intersection(type_names(transform)):
        raise _no_counterpart(transform, path)
    return _affine(module, path, dim)


def _affine(module: Any, path: str, dim: int) -> tuple[ir.Transform, ...]:
    return read_affine(lambda x: module()(x), dim, path)


READER = Reader("zuko", _is_flow, _read)
