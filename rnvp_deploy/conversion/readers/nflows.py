"""nflows 0.14, and the libraries that keep its layers: glasflow and nessai.

``forward`` goes data → latent. The network of a coupling gives the shifts, then as many
unconstrained scales. Which function turns these into scales depends on the version, so the
function is recognised by what it computes.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy import ir
from rnvp_deploy.conversion.affine import read_affine
from rnvp_deploy.conversion.context_width import context_width
from rnvp_deploy.conversion.couplings import coupling, pick_outputs
from rnvp_deploy.conversion.networks import first_width, read_network
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.conversion.refusal import located, refusal, type_names
from rnvp_deploy.conversion.source import (
    Context,
    Reader,
    SourceFlow,
    SourceLayer,
    base_layer,
    inverse_layer,
)
from rnvp_deploy.scales import Exp

__all__ = ["READER", "is_nflows_flow", "read_nflows"]

_AFFINE = {
    "nflows.ActNorm",
    "nflows.BatchNorm",
    "nflows.HouseholderSequence",
    "nflows.IdentityTransform",
    "nflows.Linear",  # LULinear, NaiveLinear, QRLinear, SVDLinear
    "nflows.Permutation",
    "nflows.PointwiseAffineTransform",
}
_BASES = {
    "nessai.MultivariateNormal",
    "nflows.ConditionalDiagonalNormal",
    "nflows.DiagonalNormal",
    "nflows.StandardNormal",
}
_SUPPORTED = (
    "AffineCouplingTransform, AdditiveCouplingTransform, ActNorm, BatchNorm, permutations, "
    "LULinear and other linear transforms, PointwiseAffineTransform, CompositeTransform and "
    "InverseTransform of these"
)


def is_nflows_flow(module: Any) -> bool:
    """Whether ``module`` has a transform and a base distribution."""
    return hasattr(module, "_transform") and hasattr(module, "_distribution")


def _log_prob(flow: Any, x: Tensor, c: Context) -> Tensor:
    result: Tensor = flow.log_prob(x, context=c)
    return result


def read_nflows(
    flow: Any, log_prob: Callable[[Any, Tensor, Context], Tensor] = _log_prob
) -> SourceFlow:
    """Read a flow that has a ``_transform`` and a ``_distribution`` of nflows' kinds."""
    if not is_nflows_flow(flow):
        raise refusal(
            "", f"a {type(flow).__name__} is not a flow of nflows; give the Flow with its base"
        )
    embedding = getattr(flow, "_embedding_net", None)
    if embedding is not None and not isinstance(embedding, nn.Identity):
        raise refusal(
            "_embedding_net",
            f"an embedding network ({type(embedding).__name__}) is not converted; embed the "
            "context before it reaches the flow",
        )
    dim = _base_width(flow._distribution, "_distribution")
    declared = [getattr(module, "context_features", None) or 0 for module in flow.modules()]
    context_dim = context_width(
        lambda x, c: log_prob(flow, x, c), dim, _context_widths(flow), otherwise=max(declared)
    )
    layers = _layers(flow._transform, "_transform", dim, context_dim)
    base = _base(flow._distribution, "_distribution", context_dim)
    return SourceFlow(dim, context_dim, (*layers, *base), lambda x, c: log_prob(flow, x, c))


def _context_widths(flow: Any) -> Iterator[int | None]:
    """The c that the networks of couplings and of a conditional base were made for."""
    for module in flow.modules():
        yield getattr(module, "context_features", None)
        if width := first_width(getattr(module, "transform_net", None)):
            yield width - len(getattr(module, "identity_features", ()))
    yield first_width(getattr(flow._distribution, "_context_encoder", None))


@located
def _layers(module: Any, path: str, dim: int, context_dim: int) -> tuple[SourceLayer, ...]:
    for kind in type_names(module):
        if kind == "nflows.CompositeTransform":
            children = enumerate(module._transforms)
            nested = [_layers(m, f"{path}._transforms.{i}", dim, context_dim) for i, m in children]
            return tuple(layer for layers in nested for layer in layers)
        if kind == "nflows.InverseTransform":
            layers = _layers(module._transform, f"{path}._transform", dim, context_dim)
            return tuple(inverse_layer(layer) for layer in reversed(layers))
        if kind in ("nflows.AffineCouplingTransform", "nflows.AdditiveCouplingTransform"):
            additive = kind == "nflows.AdditiveCouplingTransform"
            return (_layer(module, path, (_coupling(module, path, context_dim, additive),)),)
        if kind in _AFFINE:
            if not getattr(module, "initialized", True):
                raise refusal(path, "an ActNorm that has seen no data yet; train the model first")
            return (_layer(module, path, read_affine(lambda x: module(x)[0], dim, path)),)
    raise refusal(
        path,
        f"a {type(module).__name__} has no counterpart in an affine coupling flow; supported "
        f"are {_SUPPORTED}",
    )


def _layer(module: Any, path: str, transforms: tuple[ir.Transform, ...]) -> SourceLayer:
    return SourceLayer(
        path,
        transforms,
        lambda x, c: module(x, c),
        lambda z, c: module.inverse(z, c)[0],
    )


def _coupling(module: Any, path: str, context_dim: int, additive: bool) -> ir.Coupling:
    if module.unconditional_transform is not None:
        raise refusal(
            f"{path}.unconditional_transform",
            "a coupling that also moves its passive half is not converted",
        )
    passive, active = module.identity_features.tolist(), module.transform_features.tolist()
    if first_width(module.transform_net) == len(passive):
        context_dim = 0  # its network ignores the context
    k = len(active)
    net_path, inputs = f"{path}.transform_net", len(passive) + context_dim
    network = read_network(module.transform_net, net_path, inputs, context_dim)
    if additive or not (passive and active):
        return coupling(path, passive, active, mu=network, context_dim=context_dim)

    def log_scale(u: Tensor) -> Tensor:
        # The method takes 2k columns: each u becomes a row of its own.
        rows = u.reshape(-1, 1).expand(-1, 2 * k)
        return torch.log(module._scale_and_shift(rows)[0][:, 0]).reshape(u.shape)

    return coupling(
        path,
        passive,
        active,
        joint=pick_outputs(path, network, [*range(k, 2 * k), *range(k)], 2 * k),
        scale=recognise_scale(log_scale, path),
        context_dim=context_dim,
    )


@located
def _base_width(distribution: Any, path: str) -> int:
    _base_kind(distribution, path)
    shape = tuple(distribution._shape)
    if len(shape) != 1:
        raise refusal(path, f"its rows have shape {shape}; only vectors are converted")
    return int(shape[0])


def _base_kind(distribution: Any, path: str) -> str:
    for kind in type_names(distribution):
        if kind in _BASES:
            return kind
    raise refusal(
        path,
        f"a base distribution of type {type(distribution).__name__} is not converted; supported "
        "are StandardNormal, DiagonalNormal, ConditionalDiagonalNormal with a network, and "
        "nessai's MultivariateNormal",
    )


@located
def _base(distribution: Any, path: str, context_dim: int) -> tuple[SourceLayer, ...]:
    """The transform from the base distribution to a standard normal."""
    _restore_log_z(distribution)
    kind = _base_kind(distribution, path)
    if kind == "nflows.StandardNormal":
        return ()
    if kind == "nflows.DiagonalNormal":
        return (base_layer(path, distribution.mean_, distribution.log_std_),)
    if kind == "nflows.ConditionalDiagonalNormal":
        return (_conditional_base(distribution, path, context_dim),)
    variance = torch.full(distribution._shape, distribution._var, dtype=torch.float64)
    log_std = 0.5 * torch.log(variance)
    return (base_layer(path, torch.zeros_like(log_std), log_std),)


def _restore_log_z(distribution: Any) -> None:
    """Set the constant ½ d log 2π, which model.float() has rounded, to its float64 value."""
    if isinstance(stored := getattr(distribution, "_log_z", None), Tensor):
        variance = getattr(distribution, "_var", 1.0)
        exact = 0.5 * math.prod(distribution._shape) * math.log(2 * math.pi * variance)
        if math.isclose(float(stored), exact, rel_tol=1e-6):
            stored.fill_(exact)


def _conditional_base(distribution: Any, path: str, context_dim: int) -> SourceLayer:
    """N(mean(c), std(c)): a coupling in which all coordinates are active."""
    encoder = distribution._context_encoder
    if not isinstance(encoder, nn.Module):
        raise refusal(f"{path}._context_encoder", "not a network; only a Module is converted")
    (dim,) = distribution._shape
    network = read_network(encoder, f"{path}._context_encoder", context_dim)
    transform = coupling(
        path,
        (),
        range(dim),
        joint=pick_outputs(path, network, [*range(dim, 2 * dim), *range(dim)], 2 * dim),
        scale=Exp(),
        inverted=True,
        context_dim=context_dim,
    )

    def forward(x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        mean, log_std = distribution._compute_params(c)
        return (x - mean) * torch.exp(-log_std), -log_std.sum(-1)

    def inverse(z: Tensor, c: Context) -> Tensor:
        mean, log_std = distribution._compute_params(c)
        x: Tensor = z * torch.exp(log_std) + mean
        return x

    return SourceLayer(path, (transform,), forward, inverse)


READER = Reader("nflows", is_nflows_flow, read_nflows)
