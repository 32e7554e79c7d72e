"""normflows 1.7.

Its ``forward`` goes noise → data, so its layers are read in reverse order, and its couplings are
inverted ones of ours. A joint network gives shift and scale interleaved: t₀, s₀, t₁, s₁, …
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy.conversion.networks import Layer, compose, read_network
from rnvp_deploy.conversion.refusal import kinds, refusal
from rnvp_deploy.conversion.source import Piece, Source, base_piece, bring, turned
from rnvp_deploy.conversion.transforms import affine, block_order, coupling, selection
from rnvp_deploy.flow import RNVP
from rnvp_deploy.scales import Exp, LogSigmoid
from rnvp_deploy.transforms import Transform

__all__ = ["from_normflows"]

_AFFINE = {
    "normflows.AffineConstFlow",  # and ActNorm
    "normflows.InvertibleAffine",
    "normflows.LULinearPermute",
    "normflows.Permute",
    "normflows._Linear",
    "normflows._Permutation",
}
_SCALES = {"exp": Exp(), "sigmoid": LogSigmoid(-1.0), "sigmoid_inv": LogSigmoid(1.0)}
_SUPPORTED = (
    "MaskedAffineFlow, AffineCouplingBlock, ActNorm, AffineConstFlow, Permute, InvertibleAffine, "
    "LULinearPermute, Composite and Reverse of these"
)


def from_normflows(
    flow: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The distribution of a ``normflows.NormalizingFlow`` as a flow of ours.

    ``columns`` and ``context_columns`` name the coordinates. Raises ConversionError.
    """
    return bring(flow, _read, columns, context_columns)


def _read(flow: Any) -> Source:
    if not (hasattr(flow, "q0") and hasattr(flow, "flows")):
        raise refusal("", f"a {type(flow).__name__} is no NormalizingFlow of normflows")
    base = _base(flow.q0, "q0")
    dim = int(flow.q0.loc.numel())
    nested = [_pieces(module, f"flows.{i}", dim) for i, module in enumerate(flow.flows)]
    pieces = [piece for pieces in reversed(nested) for piece in pieces]
    return Source(dim, 0, (*pieces, base), lambda x, c: flow.log_prob(x))


def _base(q0: Any, path: str) -> Piece:
    if "normflows.DiagGaussian" not in kinds(q0):
        raise refusal(
            path, f"a {type(q0).__name__} is no base that is converted; a DiagGaussian is"
        )
    if q0.n_dim != 1:
        raise refusal(path, f"its rows have shape {q0.shape}; only vectors are converted")
    log_scale = q0.log_scale
    if q0.temperature is not None:
        log_scale = log_scale + torch.log(torch.tensor(q0.temperature, dtype=torch.float64))
    return base_piece(path, q0.loc, log_scale)


def _pieces(module: Any, path: str, dim: int) -> tuple[Piece, ...]:
    """What ``module`` is, data → noise."""
    for kind in kinds(module):
        if kind == "normflows.Composite":
            nested = [_pieces(m, f"{path}._flows.{i}", dim) for i, m in enumerate(module._flows)]
            return tuple(piece for pieces in reversed(nested) for piece in pieces)
        if kind == "normflows.Reverse":
            pieces = _pieces(module.flow, f"{path}.flow", dim)
            return tuple(turned(piece, dim) for piece in reversed(pieces))
        if kind == "normflows.MaskedAffineFlow":
            return (_piece(module, path, (_masked(module, path, dim),)),)
        if kind == "normflows.AffineCouplingBlock":
            return (_piece(module, path, (_block(module, path, dim),)),)
        if kind in _AFFINE:
            if not bool(getattr(module, "data_dep_init_done", True)):
                raise refusal(path, "an ActNorm that has seen no data yet; train the model first")
            ours = affine(lambda x: module.inverse(x)[0], dim, path)
            return (_piece(module, path, ours),)
    raise refusal(
        path,
        f"a {type(module).__name__} has no counterpart in an affine coupling flow; supported "
        f"are {_SUPPORTED}",
    )


def _piece(module: Any, path: str, ours: tuple[Transform, ...]) -> Piece:
    def forward(x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        z, log_det = module.inverse(x)
        return z, torch.as_tensor(log_det).expand(len(x))

    return Piece(path, ours, forward, lambda z, c: module.forward(z)[0])


def _masked(module: Any, path: str, dim: int) -> Transform:
    mask = module.b.reshape(-1)
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise refusal(path, "its mask has values other than 0 and 1")
    passive, active = (mask == 1).nonzero()[:, 0].tolist(), (mask == 0).nonzero()[:, 0].tolist()
    if not active:
        raise refusal(path, "its mask leaves no coordinate to move")

    def network(name: str) -> list[Layer] | None:
        # It sees all coordinates, the active ones as 0, and its passive outputs are dropped.
        net = getattr(module, name)
        if not isinstance(net, nn.Module):  # torch.zeros_like
            return None
        layers = read_network(net, f"{path}.{name}", dim)
        picks = selection(passive, dim)
        return compose(layers, before=picks.T, after=selection(active, dim))

    return coupling(passive, active, sig=network("s"), mu=network("t"), scale=Exp(), inverted=True)


def _block(module: Any, path: str, dim: int) -> Transform:
    split, inner = module.flows[0], module.flows[1]
    first, second = torch.arange(dim).chunk(2)
    match split.mode:
        case "channel":
            passive, active = first.tolist(), second.tolist()
        case "channel_inv":
            passive, active = second.tolist(), first.tolist()
        case "checkerboard" | "checkerboard_inv":
            odd, even = list(range(1, dim, 2)), list(range(0, dim, 2))
            passive, active = (even, odd) if "inv" in split.mode else (odd, even)
    if dim % 2 and "checkerboard" in split.mode:
        raise refusal(path, "a checkerboard split of an odd number of coordinates")
    layers = read_network(inner.param_map, f"{path}.flows.1.param_map", len(passive))
    if not inner.scale:
        return coupling(passive, active, mu=layers, inverted=True)
    if inner.scale_map not in _SCALES:
        raise refusal(path, f"scale map {inner.scale_map!r}; supported are {', '.join(_SCALES)}")
    layers = block_order(layers, first_u=1, first_mu=0, step=2, k=len(active))
    return coupling(passive, active, joint=layers, scale=_SCALES[inner.scale_map], inverted=True)
