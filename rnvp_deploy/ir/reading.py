"""From torch modules to values: ``read(flow)``."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from rnvp_deploy import networks as modules
from rnvp_deploy import transforms
from rnvp_deploy.flow import RNVP
from rnvp_deploy.ir.networks import Array, Dense, Layer, Network, Rescale, Residual, split_outputs
from rnvp_deploy.ir.transforms import Coupling, DiagonalAffine, Flow, Linear, Permutation, Transform

__all__ = ["read", "read_transform"]


def read(flow: RNVP) -> Flow:
    """The flow as values, in float64. Parameters of lower precision are widened exactly."""
    scaling = flow.context_scaling
    return Flow(
        flow.dim,
        flow.context_dim,
        tuple(map(read_transform, flow.transforms)),
        None if scaling is None else _diagonal(scaling),
    )


def read_transform(module: nn.Module) -> Transform:
    """One transform as a value. An LU linear becomes its dense matrix."""
    match module:
        case transforms.Coupling():
            return _coupling(module)
        case transforms.DiagonalAffine():
            return _diagonal(module)
        case transforms.Elementwise():
            return module.spec
        case transforms.Permutation():
            return Permutation(module.spec.order)
        case transforms.Linear():
            # The factors are multiplied in float64, for any dtype of the module.
            return _linear(module)
    raise TypeError(f"{type(module).__name__} is not a transform")


def _coupling(module: transforms.Coupling) -> Coupling:
    spec = module.spec
    trunk: Network = ()
    if (joint := module.network("joint")) is not None:
        names = list(spec.map.parameters)
        trunk, dense = split_outputs(_network(joint), [spec.outputs(name) for name in names])
        heads: dict[str, Network] = {name: (head,) for name, head in zip(names, dense, strict=True)}
    else:
        found = {name: module.network(name) for name in spec.map.parameters}
        heads = {name: _network(net) for name, net in found.items() if net is not None}
    return Coupling(
        spec.passive, spec.active, heads, trunk, spec.map, spec.inverted, spec.context_dim
    )


def _network(network: modules.Network) -> Network:
    return tuple(
        _layer(step, layer) for step, layer in zip(network.steps, network.layers, strict=True)
    )


def _layer(step: modules.Step, layer: Any) -> Layer:
    match step:
        case modules.Dense():
            return Dense(_array(layer.weight), _array(layer.bias))
        case modules.Rescale():
            return Rescale(_array(layer.weight), _array(layer.bias))
        case modules.Residual():
            gate = (
                None
                if layer.gate is None
                else Dense(_array(layer.gate.weight), _array(layer.gate.bias))
            )
            return Residual(_network(layer.body), gate)
    return step


def _diagonal(module: transforms.DiagonalAffine) -> DiagonalAffine:
    return DiagonalAffine(_array(module.loc), _array(module.log_scale))


def _linear(module: transforms.Linear) -> Linear:
    bias = _array(module.bias)
    if not module.spec.lu:
        return Linear(_array(module.weight), bias)
    lower = np.tril(_array(module.lower), -1) + np.eye(len(bias))
    upper = np.triu(_array(module.upper), 1) + np.diag(np.exp(_array(module.log_diagonal)))
    return Linear((lower @ upper)[np.argsort(module.permutation.cpu().numpy())], bias)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().double().numpy()
