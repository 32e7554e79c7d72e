"""normflows 1.7.

``forward`` goes latent → data, so the layers are read in reverse order and the couplings are
inverted ones. A joint network gives shift and scale interleaved: t₀, s₀, t₁, s₁, …
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnvp_deploy import ir
from rnvp_deploy.conversion.affine import read_affine
from rnvp_deploy.conversion.couplings import coupling, pick_outputs
from rnvp_deploy.conversion.networks import read_network
from rnvp_deploy.conversion.refusal import located, refusal, type_names
from rnvp_deploy.conversion.source import (
    Context,
    Reader,
    SourceFlow,
    SourceLayer,
    base_layer,
    inverse_layer,
)
from rnvp_deploy.ir.networks import precompose
from rnvp_deploy.scales import Exp, LogSigmoid

__all__ = ["READER"]

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


def _is_flow(module: Any) -> bool:
    return hasattr(module, "q0") and hasattr(module, "flows")


def _read(flow: Any) -> SourceFlow:
    if not _is_flow(flow):
        raise refusal("", f"a {type(flow).__name__} is not a NormalizingFlow of normflows")
    base = _base(flow.q0, "q0")
    dim = int(flow.q0.loc.numel())
    nested = [_layers(module, f"flows.{i}", dim) for i, module in enumerate(flow.flows)]
    layers = [layer for layers in reversed(nested) for layer in layers]
    return SourceFlow(dim, 0, (*layers, base), lambda x, c: flow.log_prob(x))


@located
def _base(q0: Any, path: str) -> SourceLayer:
    if "normflows.DiagGaussian" not in type_names(q0):
        raise refusal(
            path,
            f"a base distribution of type {type(q0).__name__} is not converted; a DiagGaussian is",
        )
    if q0.n_dim != 1:
        raise refusal(path, f"its rows have shape {q0.shape}; only vectors are converted")
    log_scale = q0.log_scale
    if q0.temperature is not None:
        log_scale = log_scale + torch.log(torch.tensor(q0.temperature, dtype=torch.float64))
    return base_layer(path, q0.loc, log_scale)


@located
def _layers(module: Any, path: str, dim: int) -> tuple[SourceLayer, ...]:
    """The layers of ``module``, data → latent."""
    for kind in type_names(module):
        if kind == "normflows.Composite":
            nested = [_layers(m, f"{path}._flows.{i}", dim) for i, m in enumerate(module._flows)]
            return tuple(layer for layers in reversed(nested) for layer in layers)
        if kind == "normflows.Reverse":
            layers = _layers(module.flow, f"{path}.flow", dim)
            return tuple(inverse_layer(layer) for layer in reversed(layers))
        if kind == "normflows.MaskedAffineFlow":
            return (_layer(module, path, (_masked(module, path, dim),)),)
        if kind == "normflows.AffineCouplingBlock":
            return (_layer(module, path, (_block(module, path, dim),)),)
        if kind in _AFFINE:
            if not bool(getattr(module, "data_dep_init_done", True)):
                raise refusal(path, "an ActNorm that has seen no data yet; train the model first")
            return (_layer(module, path, read_affine(lambda x: module.inverse(x)[0], dim, path)),)
    raise refusal(
        path,
        f"a {type(module).__name__} has no counterpart in an affine coupling flow; supported "
        f"are {_SUPPORTED}",
    )


def _layer(module: Any, path: str, transforms: tuple[ir.Transform, ...]) -> SourceLayer:
    def forward(x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        z, log_det = module.inverse(x)
        return z, torch.as_tensor(log_det).expand(len(x))

    return SourceLayer(path, transforms, forward, lambda z, c: module.forward(z)[0])


def _masked(module: Any, path: str, dim: int) -> ir.Coupling:
    mask = module.b.reshape(-1)
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise refusal(path, "its mask has values other than 0 and 1")
    if len(mask) != dim:
        raise refusal(path, f"its mask has {len(mask)} values; the flow has {dim} coordinates")
    passive, active = (mask == 1).nonzero()[:, 0].tolist(), (mask == 0).nonzero()[:, 0].tolist()

    def network(name: str) -> ir.Network | None:
        # It reads all coordinates, the active ones as 0, and its passive outputs are dropped.
        net = getattr(module, name)
        if not isinstance(net, nn.Module) or not passive:  # torch.zeros_like
            return None
        read = precompose(read_network(net, f"{path}.{name}", dim), np.eye(dim)[:, passive])
        return pick_outputs(f"{path}.{name}", read, active, dim)

    return coupling(
        path, passive, active, sig=network("s"), mu=network("t"), scale=Exp(), inverted=True
    )


def _block(module: Any, path: str, dim: int) -> ir.Coupling:
    split, inner = module.flows[0], module.flows[1]
    first, second = range((dim + 1) // 2), range((dim + 1) // 2, dim)
    odd, even = range(1, dim, 2), range(0, dim, 2)
    halves = {
        "channel": (first, second),
        "channel_inv": (second, first),
        "checkerboard": (odd, even),
        "checkerboard_inv": (even, odd),
    }
    if split.mode not in halves:
        raise refusal(path, f"split mode {split.mode!r}; supported are {', '.join(halves)}")
    passive, active = halves[split.mode]
    if dim % 2 and "checkerboard" in split.mode:
        raise refusal(
            path, f"a checkerboard split takes an even number of coordinates; the flow has {dim}"
        )
    if not (passive and active):
        return coupling(path, passive, active)  # refused there
    network = read_network(inner.param_map, f"{path}.flows.1.param_map", len(passive))
    if not inner.scale:
        return coupling(path, passive, active, mu=network, inverted=True)
    if inner.scale_map not in _SCALES:
        raise refusal(path, f"scale map {inner.scale_map!r}; supported are {', '.join(_SCALES)}")
    k = len(active)
    return coupling(
        path,
        passive,
        active,
        joint=pick_outputs(path, network, [*range(1, 2 * k, 2), *range(0, 2 * k, 2)], 2 * k),
        scale=_SCALES[inner.scale_map],
        inverted=True,
    )


READER = Reader("normflows", _is_flow, _read)
