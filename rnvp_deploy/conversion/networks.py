"""A conditioner network of another library, layer by layer, as one of ours.

A network is first read into a list of ``Layer``: a step of ours and the numbers that go into it.
Linear maps can then be put before or after it (to reorder outputs, to pick inputs, to apply a
gain); they disappear into its first or last dense layer where there is one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy.conversion.precision import exactly
from rnvp_deploy.conversion.recognition import recognise_activation
from rnvp_deploy.conversion.refusal import kinds, refusal
from rnvp_deploy.networks import Activation, Dense, Network, Norm, Rescale, Residual, Step

__all__ = ["Layer", "build", "compose", "read_network"]

_SUPPORTED = (
    "Sequential, Linear, elementwise activations, Dropout, Identity, LayerNorm, BatchNorm1d in "
    "eval mode, the MLPs and ResidualNets of nflows, glasflow, nessai, normflows and zuko, and "
    "modules of your own that only wrap one of these"
)


@dataclass(frozen=True)
class Layer:
    """A step, and the values of its parameters in the order in which the step's module has them."""

    step: Step
    values: tuple[Tensor, ...] = ()


def build(layers: list[Layer]) -> Network:
    """The network that ``layers`` describe, in float64."""
    network = Network(tuple(layer.step for layer in layers)).double()
    values = [value for layer in layers for value in layer.values]
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), values, strict=True):
            parameter.copy_(value)
    return network


def compose(
    layers: list[Layer], *, before: Tensor | None = None, after: Tensor | None = None
) -> list[Layer]:
    """h ↦ after · network(before · h); ``before`` and ``after`` are matrices."""
    if before is not None:
        if layers and isinstance(layers[0].step, Dense):
            weight, bias = layers[0].values
            layers = [_dense(weight @ before, bias), *layers[1:]]
        else:
            layers = [_dense(before), *layers]
    if after is not None:
        if layers and isinstance(layers[-1].step, Dense):
            weight, bias = layers[-1].values
            layers = [*layers[:-1], _dense(after @ weight, after @ bias)]
        else:
            layers = [*layers, _dense(after)]
    return layers


def read_network(module: nn.Module, path: str, width: int) -> list[Layer]:
    """The layers of ``module``, which is given rows (n, width).

    ConversionError names the first layer that has no counterpart.
    """
    for kind in kinds(module):
        if kind in _READERS:
            return _READERS[kind](module, path, width)
    if type(module).forward is nn.Sequential.forward:
        return _sequence(module, path, width)
    inside = [(name, child) for name, child in module._modules.items() if child is not None]
    owns = any(True for _ in module.parameters(recurse=False))
    if not inside and not owns:
        return [Layer(recognise_activation(module, path))]
    if len(inside) == 1 and not owns:
        name, child = inside[0]
        layers = read_network(child, f"{path}.{name}", width)
        if _computes_the_same(module, layers, width):
            return layers
    raise refusal(
        path,
        f"a {type(module).__name__} is no layer that a network of ours can have; supported are "
        f"{_SUPPORTED}",
    )


def _computes_the_same(module: nn.Module, layers: list[Layer], width: int) -> bool:
    """Whether a wrapper adds nothing to what it wraps: tried on a few rows."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(64, width, generator=generator, dtype=torch.float64)
    try:
        with exactly():
            theirs = module(rows)
    except Exception:  # its forward wants something else than rows
        return False
    return isinstance(theirs, Tensor) and torch.allclose(build(layers)(rows), theirs, rtol=1e-9)


def _sequence(module: nn.Module, path: str, width: int) -> list[Layer]:
    layers: list[Layer] = []
    # Not named_children(): that passes over a module which occurs twice.
    for name, child in module._modules.items():
        assert child is not None
        layers += read_network(child, f"{path}.{name}", width)
        width = _outputs(layers, width)
    return layers


def _outputs(layers: list[Layer], width: int) -> int:
    for layer in reversed(layers):
        if isinstance(layer.step, Dense):
            return layer.step.outputs
    return width


def _dense(weight: Tensor, bias: Tensor | None = None) -> Layer:
    outputs, inputs = weight.shape
    bias = weight.new_zeros(outputs) if bias is None else bias
    return Layer(Dense(inputs, outputs), (weight, bias))


def _linear(module: Any, path: str, width: int) -> list[Layer]:
    if module.weight.dim() != 2:
        raise refusal(path, "a stack of linear maps has no counterpart; a coupling has one network")
    return [_dense(module.weight, module.bias)]


def _nothing(module: Any, path: str, width: int) -> list[Layer]:
    return []


def _prelu(module: Any, path: str, width: int) -> list[Layer]:
    if module.weight.numel() != 1:
        raise refusal(path, "a PReLU with a slope for each channel is not supported; one slope is")
    return [Layer(Activation("leaky_relu", float(module.weight)))]


def _softplus(module: Any, path: str, width: int) -> list[Layer]:
    if module.beta == 1:
        return [Layer(Activation("softplus"))]
    steps = (("multiply", module.beta), ("softplus", 0.0), ("multiply", 1 / module.beta))
    return [Layer(Activation(name, float(number))) for name, number in steps]


def _layer_norm(module: Any, path: str, width: int) -> list[Layer]:
    if tuple(module.normalized_shape) != (width,):
        raise refusal(
            path, f"a LayerNorm over {tuple(module.normalized_shape)}; over one row it would do"
        )
    layers = [Layer(Norm(width, module.eps))]
    if module.weight is not None:
        bias = torch.zeros_like(module.weight) if module.bias is None else module.bias
        layers.append(Layer(Rescale(width), (module.weight, bias)))
    return layers


def _zuko_layer_norm(module: Any, path: str, width: int) -> list[Layer]:
    if module.dim not in (-1, 1, (-1,), (1,)):
        raise refusal(path, f"a LayerNorm over axes {module.dim}; over one row it would do")
    return [Layer(Norm(width, module.eps, correction=1))]


def _batch_norm(module: Any, path: str, width: int) -> list[Layer]:
    if module.running_var is None:
        raise refusal(
            path, "a BatchNorm1d without running statistics depends on the rest of its batch"
        )
    weight = torch.rsqrt(module.running_var + module.eps)
    if module.weight is not None:
        weight = weight * module.weight
    bias = -module.running_mean * weight
    if module.bias is not None:
        bias = bias + module.bias
    return [Layer(Rescale(width), (weight, bias))]


def _mlp(module: Any, path: str, width: int) -> list[Layer]:
    """The MLP of nflows, nessai and glasflow: one activation between all layers."""
    function = module._activation if hasattr(module, "_activation") else module._activation_fn
    activation = Layer(recognise_activation(function, f"{path}._activation"))
    layers = read_network(module._input_layer, f"{path}._input_layer", width)
    for i, hidden in enumerate(module._hidden_layers):
        layers += [activation, *read_network(hidden, f"{path}._hidden_layers.{i}", width)]
    layers += [activation, *read_network(module._output_layer, f"{path}._output_layer", width)]
    if module._activate_output:
        last = getattr(module, "_output_activation", function)
        layers.append(Layer(recognise_activation(last, f"{path}._output_activation")))
    return layers


def _residual_net(module: Any, path: str, width: int) -> list[Layer]:
    """The ResidualNet of nflows: it is given the passive half, joined with the context."""
    if getattr(module, "preprocessing", None) is not None:
        raise refusal(f"{path}.preprocessing", "a network with preprocessing is not supported")
    layers = read_network(module.initial_layer, f"{path}.initial_layer", width)
    for i, block in enumerate(module.blocks):
        layers += read_network(block, f"{path}.blocks.{i}", module.hidden_features)
    return layers + read_network(module.final_layer, f"{path}.final_layer", module.hidden_features)


def _residual_block(module: Any, path: str, width: int) -> list[Layer]:
    activation = Layer(recognise_activation(module.activation, f"{path}.activation"))
    body: list[Layer] = []
    for i, linear in enumerate(module.linear_layers):
        if module.use_batch_norm:
            norm = module.batch_norm_layers[i]
            body += read_network(norm, f"{path}.batch_norm_layers.{i}", width)
        body += [activation, *read_network(linear, f"{path}.linear_layers.{i}", width)]
    gate = getattr(module, "context_layer", None)
    if gate is None:
        return [_residual(body, width)]
    return [_residual(body, width, read_network(gate, f"{path}.context_layer", width)[0])]


def _residual(body: list[Layer], width: int, gate: Layer | None = None) -> Layer:
    steps = tuple(layer.step for layer in body)
    values = tuple(value for layer in body for value in layer.values)
    if gate is None:
        return Layer(Residual(steps, width), values)
    assert isinstance(gate.step, Dense)
    return Layer(Residual(steps, width, gate.step.inputs), values + gate.values)


def _zuko_residual(module: Any, path: str, width: int) -> list[Layer]:
    return [_residual(_sequence(module, path, width), width)]


def _net_inside(module: Any, path: str, width: int) -> list[Layer]:
    return read_network(module.net, f"{path}.net", width)


_READERS: dict[str, Callable[[Any, str, int], list[Layer]]] = {
    "torch.Linear": _linear,
    "torch.Identity": _nothing,
    "torch._DropoutNd": _nothing,
    "torch.PReLU": _prelu,
    "torch.Softplus": _softplus,
    "torch.LayerNorm": _layer_norm,
    "torch.BatchNorm1d": _batch_norm,
    "nflows.MLP": _mlp,
    "nflows.ResidualNet": _residual_net,
    "nflows.ResidualBlock": _residual_block,
    "glasflow.MLP": _mlp,
    "nessai.MLP": _mlp,
    "normflows.MLP": _net_inside,
    "normflows.ResidualNet": _residual_net,
    "normflows.ResidualBlock": _residual_block,
    "zuko.Linear": _linear,
    "zuko.LayerNorm": _zuko_layer_norm,
    "zuko.Residual": _zuko_residual,
}
