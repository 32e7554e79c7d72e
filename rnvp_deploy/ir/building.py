"""From values to torch modules, in float64: ``build(flow)``."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnvp_deploy import networks as modules
from rnvp_deploy import transforms
from rnvp_deploy.flow import RNVP
from rnvp_deploy.ir.networks import (
    Array,
    Dense,
    Layer,
    Network,
    Rescale,
    Residual,
    output_width,
)
from rnvp_deploy.ir.transforms import Coupling, DiagonalAffine, Flow, Linear, Permutation, Transform
from rnvp_deploy.spec import FlowSpec

__all__ = ["build", "build_network", "build_transform"]


def build(
    flow: Flow,
    columns: tuple[str, ...] | None = None,
    context_columns: tuple[str, ...] | None = None,
) -> RNVP:
    """The flow as a float64 torch module, in eval mode.

    Raises:
        ConfigError: the transforms do not fit each other, or the names do not fit the columns.
    """
    described = [_transform(transform) for transform in flow.transforms]
    specs = tuple(spec for spec, _ in described)
    scaling = flow.context_scaling
    spec = FlowSpec(flow.dim, flow.context_dim, specs, standardise_context=scaling is not None)
    module = RNVP(spec, columns, context_columns).double()
    for transform, (_, arrays) in zip(module.transforms, described, strict=True):
        _fill(transform, arrays)
    if scaling is not None and module.context_scaling is not None:
        _fill(module.context_scaling, (scaling.loc, scaling.log_scale))
    return module.eval()


def build_transform(transform: Transform) -> transforms.Transform:
    """One transform as a float64 torch module."""
    spec, weights = _transform(transform)
    module = transforms.build(spec).double()
    _fill(module, weights)
    return module.eval()


def build_network(network: Network) -> modules.Network:
    """A network as a float64 torch module."""
    module = modules.Network(_steps(network)).double()
    _fill(module, _weights(network))
    return module.eval()


def _transform(transform: Transform) -> tuple[transforms.TransformSpec, tuple[Array, ...]]:
    match transform:
        case Coupling():
            return _coupling(transform)
        case DiagonalAffine(loc, log_scale):
            return transforms.DiagonalAffineSpec(len(loc)), (loc, log_scale)
        case transforms.ElementwiseSpec():
            return transform, ()
        case Permutation(order):
            return transforms.PermutationSpec(order), ()
        case Linear(weight, bias):
            return transforms.LinearSpec(len(bias), lu=False), (bias, weight)


def _coupling(coupling: Coupling) -> tuple[transforms.CouplingSpec, tuple[Array, ...]]:
    heads = {
        name: coupling.heads[name] for name in coupling.map.parameters if name in coupling.heads
    }
    networks: dict[str, Network] = heads
    if coupling.trunk:
        networks = {"joint": (*coupling.trunk, _stacked(heads))}
    spec = transforms.CouplingSpec(
        coupling.passive,
        coupling.active,
        tuple((name, _steps(network)) for name, network in networks.items()),
        coupling.map,
        coupling.inverted,
        coupling.context_dim,
    )
    return spec, tuple(array for network in networks.values() for array in _weights(network))


def _stacked(heads: dict[str, Network]) -> Dense:
    """The dense heads on a common trunk, as the last layer of one joint network."""
    dense = [layer for head in heads.values() for layer in head if isinstance(layer, Dense)]
    weight = np.concatenate([head.weight for head in dense])
    return Dense(weight, np.concatenate([head.bias for head in dense]))


def _steps(network: Network) -> modules.Steps:
    return tuple(map(_step, network))


def _step(layer: Layer) -> modules.Step:
    match layer:
        case Dense():
            return modules.Dense(layer.inputs, layer.outputs)
        case Rescale(weight):
            return modules.Rescale(len(weight))
        case Residual(body, gate):
            return modules.Residual(_steps(body), _width(body), 0 if gate is None else gate.inputs)
    return layer


def _width(body: Network) -> int:
    """The width of a residual block, which its body's last sized layer writes."""
    if width := output_width(body, 0):
        return width
    raise ValueError("a residual block needs a layer with a width in its body")


def _weights(network: Network) -> tuple[Array, ...]:
    """The arrays of a network in the order of its module's parameters."""
    arrays: list[Array] = []
    for layer in network:
        match layer:
            case Dense(weight, bias) | Rescale(weight, bias):
                arrays += [weight, bias]
            case Residual(body, gate):
                arrays += _weights(body)
                arrays += [] if gate is None else [gate.weight, gate.bias]
    return tuple(arrays)


@torch.no_grad()
def _fill(module: nn.Module, arrays: Iterable[Array]) -> None:
    tensors: list[Tensor] = [*module.parameters(), *_values(module)]
    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.copy_(torch.from_numpy(np.array(array)))


def _values(module: Any) -> list[Tensor]:
    """Weights that are buffers: those of an affine that is not trained."""
    if not isinstance(module, transforms.DiagonalAffine) or module.spec.trainable:
        return []
    return [module.loc, module.log_scale]
