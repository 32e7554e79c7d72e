"""nflows 0.14, and the family that keeps its layers: glasflow and nessai.

Its ``forward`` goes data → noise. The network of a coupling gives the shifts, then as many
unconstrained scales; which function makes scales of them depends on the version, so it is asked.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy.conversion.networks import read_network
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.conversion.refusal import kinds, refusal
from rnvp_deploy.conversion.source import Piece, Source, base_piece, bring, turned
from rnvp_deploy.conversion.transforms import affine, block_order, coupling
from rnvp_deploy.flow import RNVP
from rnvp_deploy.scales import Exp
from rnvp_deploy.transforms import Transform

__all__ = ["from_nflows", "read_nflows"]

_AFFINE = {
    "nflows.ActNorm",
    "nflows.BatchNorm",
    "nflows.HouseholderSequence",
    "nflows.IdentityTransform",
    "nflows.Linear",  # LULinear, NaiveLinear, QRLinear, SVDLinear
    "nflows.Permutation",
    "nflows.PointwiseAffineTransform",
}
_SUPPORTED = (
    "AffineCouplingTransform, AdditiveCouplingTransform, ActNorm, BatchNorm, permutations, "
    "LULinear and other linear transforms, PointwiseAffineTransform, CompositeTransform and "
    "InverseTransform of these"
)


def from_nflows(
    flow: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The distribution of an ``nflows.flows.Flow`` as a flow of ours.

    ``columns`` and ``context_columns`` name the coordinates. Raises ConversionError.
    """
    return bring(flow, read_nflows, columns, context_columns)


def read_nflows(
    flow: Any, log_prob: Callable[[Any, Tensor, Tensor | None], Tensor] | None = None
) -> Source:
    """Read a flow that has a ``_transform`` and a ``_distribution`` of nflows' kinds."""
    if not (hasattr(flow, "_transform") and hasattr(flow, "_distribution")):
        raise refusal(
            "", f"a {type(flow).__name__} is no flow of nflows: give the Flow with its base"
        )
    embedding = getattr(flow, "_embedding_net", None)
    if embedding is not None and not isinstance(embedding, nn.Identity):
        raise refusal(
            "_embedding_net",
            f"an embedding network ({type(embedding).__name__}) is not converted; embed the "
            "context before it reaches the flow",
        )
    dim, context_dim = _dims(flow)
    pieces = _pieces(flow._transform, "_transform", dim, context_dim)
    base = _base(flow._distribution, "_distribution", context_dim)
    return Source(
        dim,
        context_dim,
        (*pieces, *base),
        lambda x, c: (log_prob or _log_prob)(flow, x, c),
    )


def _log_prob(flow: Any, x: Tensor, c: Tensor | None) -> Tensor:
    result: Tensor = flow.log_prob(x, context=c)
    return result


def _dims(flow: Any) -> tuple[int, int]:
    """d, and the c that the conditioners and a conditional base were made for."""
    shape = flow._distribution._shape
    if len(shape) != 1:
        raise refusal(
            "_distribution", f"its rows have shape {tuple(shape)}; only vectors are converted"
        )
    widths = [getattr(module, "context_features", None) for module in flow.modules()]
    encoder = getattr(flow._distribution, "_context_encoder", None)
    if isinstance(encoder, nn.Module):
        widths += [getattr(module, "in_features", None) for module in encoder.modules()][:2]
    return int(shape[0]), next((int(width) for width in widths if width), 0)


def _pieces(module: Any, path: str, dim: int, context_dim: int) -> tuple[Piece, ...]:
    for kind in kinds(module):
        if kind == "nflows.CompositeTransform":
            children = enumerate(module._transforms)
            nested = [_pieces(m, f"{path}._transforms.{i}", dim, context_dim) for i, m in children]
            return tuple(piece for pieces in nested for piece in pieces)
        if kind == "nflows.InverseTransform":
            pieces = _pieces(module._transform, f"{path}._transform", dim, context_dim)
            return tuple(turned(piece, dim) for piece in reversed(pieces))
        if kind in ("nflows.AffineCouplingTransform", "nflows.AdditiveCouplingTransform"):
            additive = kind == "nflows.AdditiveCouplingTransform"
            return (_piece(module, path, (_coupling(module, path, context_dim, additive),)),)
        if kind in _AFFINE:
            if not getattr(module, "initialized", True):
                raise refusal(path, "an ActNorm that has seen no data yet; train the model first")
            ours = affine(lambda x: module(x)[0], dim, path)
            return (_piece(module, path, ours),)
    raise refusal(
        path,
        f"a {type(module).__name__} has no counterpart in an affine coupling flow; supported "
        f"are {_SUPPORTED}",
    )


def _piece(module: Any, path: str, ours: tuple[Transform, ...]) -> Piece:
    return Piece(
        path,
        ours,
        lambda x, c: module(x, c),
        lambda z, c: module.inverse(z, c)[0],
    )


def _coupling(module: Any, path: str, context_dim: int, additive: bool) -> Transform:
    if module.unconditional_transform is not None:
        raise refusal(
            f"{path}.unconditional_transform",
            "a coupling that also moves its passive half is not converted",
        )
    passive, active = module.identity_features.tolist(), module.transform_features.tolist()
    inputs, k = len(passive) + context_dim, len(active)
    layers = read_network(module.transform_net, f"{path}.transform_net", inputs)
    if additive:
        return coupling(passive, active, mu=layers, context_dim=context_dim)

    def log_scale(u: Tensor) -> Tensor:
        # As many rows of one scale each: the method takes as many columns as it moves.
        rows = u.reshape(-1, 1).expand(-1, 2 * k)
        return torch.log(module._scale_and_shift(rows)[0][:, 0]).reshape(u.shape)

    scale = recognise_scale(log_scale, path)
    layers = block_order(layers, first_u=k, first_mu=0, step=1, k=k)
    return coupling(passive, active, joint=layers, scale=scale, context_dim=context_dim)


def _base(distribution: Any, path: str, context_dim: int) -> tuple[Piece, ...]:
    """What turns the base into a standard normal."""
    _settle(distribution)
    for kind in kinds(distribution):
        if kind == "nflows.StandardNormal":
            return ()
        if kind == "nflows.DiagonalNormal":
            return (base_piece(path, distribution.mean_, distribution.log_std_),)
        if kind == "nessai.MultivariateNormal":
            variance = torch.full(distribution._shape, distribution._var, dtype=torch.float64)
            log_std = 0.5 * torch.log(variance)
            return (base_piece(path, torch.zeros_like(log_std), log_std),)
        if kind == "nflows.ConditionalDiagonalNormal":
            return (_conditional_base(distribution, path, context_dim),)
    raise refusal(
        path,
        f"a {type(distribution).__name__} is no base that is converted; supported are "
        "StandardNormal, DiagonalNormal, ConditionalDiagonalNormal with a network, and nessai's "
        "MultivariateNormal",
    )


def _settle(distribution: Any) -> None:
    """Its constant ½ d log 2π, which model.float() has rounded, as float64 has it."""
    if isinstance(stored := getattr(distribution, "_log_z", None), Tensor):
        variance = getattr(distribution, "_var", 1.0)
        exact = 0.5 * math.prod(distribution._shape) * math.log(2 * math.pi * variance)
        if math.isclose(float(stored), exact, rel_tol=1e-6):
            stored.fill_(exact)


def _conditional_base(distribution: Any, path: str, context_dim: int) -> Piece:
    """N(mean(c), std(c)): a coupling in which all coordinates are active."""
    encoder = distribution._context_encoder
    if not isinstance(encoder, nn.Module):
        raise refusal(f"{path}._context_encoder", "not a network; only a Module is converted")
    (dim,) = distribution._shape
    layers = read_network(encoder, f"{path}._context_encoder", context_dim)
    layers = block_order(layers, first_u=dim, first_mu=0, step=1, k=dim)
    ours = coupling(
        (), range(dim), joint=layers, scale=Exp(), inverted=True, context_dim=context_dim
    )

    def forward(x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        mean, log_std = distribution._compute_params(c)
        return (x - mean) * torch.exp(-log_std), -log_std.sum(-1)

    def inverse(z: Tensor, c: Tensor | None) -> Tensor:
        mean, log_std = distribution._compute_params(c)
        x: Tensor = z * torch.exp(log_std) + mean
        return x

    return Piece(path, (ours,), forward, inverse)
