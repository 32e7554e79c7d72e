"""Networks of other libraries as values, layer by layer."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnvp_deploy import ir
from rnvp_deploy.conversion.float64 import in_float64
from rnvp_deploy.conversion.recognition import recognise_activation
from rnvp_deploy.conversion.refusal import located, refusal, type_names
from rnvp_deploy.ir.networks import output_width
from rnvp_deploy.networks import Activation, Norm

__all__ = ["first_width", "read_network"]

_SUPPORTED = (
    "Sequential, Linear, elementwise activations, Dropout, Identity, LayerNorm, BatchNorm1d in "
    "eval mode, the MLPs and ResidualNets of nflows, glasflow, nessai, normflows and zuko, and "
    "modules of your own that only wrap one of these"
)


@located
def read_network(module: Any, path: str, width: int, context_dim: int = 0) -> ir.Network:
    """A network as layers with weights.

    Args:
        module: the network, in float64 and eval mode.
        path: its path in the model, for the error.
        width: the number of its inputs, the context included.
        context_dim: how many of these, the last ones, are context. A module of the user's own may
            take them as a second argument.

    Raises:
        ConversionError: names the first layer that has no counterpart or does not fit.
    """
    for kind in type_names(module):
        if kind in _LAYERS:
            return _LAYERS[kind](module, path, width)
    if type(module).forward is nn.Sequential.forward:
        return _sequence(module, path, width)
    inside = [(name, child) for name, child in module._modules.items() if child is not None]
    has_weights = any(True for _ in module.parameters(recurse=False))
    if not inside and not has_weights:
        return (recognise_activation(module, path),)
    if len(inside) == 1 and not has_weights:
        name, child = inside[0]
        network = read_network(child, f"{path}.{name}", width, context_dim)
        if _computes_the_same(module, network, width, context_dim):
            return network
    raise refusal(
        path,
        f"a {type(module).__name__} is not a layer that a network can have; supported are "
        f"{_SUPPORTED}",
    )


def first_width(module: object) -> int | None:
    """The number of inputs of the first layer that fixes one; None if there is no such layer."""
    return next(_widths(module), None) if isinstance(module, nn.Module) else None


def _widths(module: nn.Module) -> Iterator[int]:
    for part in module.modules():
        for name in ("in_features", "num_features"):
            if isinstance(width := getattr(part, name, None), int):
                yield width
        if isinstance(shape := getattr(part, "normalized_shape", None), tuple):
            yield int(shape[-1])


def _computes_the_same(
    module: nn.Module, network: ir.Network, width: int, context_dim: int
) -> bool:
    """Whether a wrapper computes the same as the module in it, on a few rows."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(64, width, generator=generator, dtype=torch.float64)
    passive, context = rows[:, : width - context_dim], rows[:, width - context_dim :]
    expected = ir.build_network(network)(rows, context)
    calls = [(rows,), (passive, context), (passive,)]
    return any(_agrees(module, call, expected) for call in calls)


def _agrees(module: nn.Module, call: tuple[Tensor, ...], expected: Tensor) -> bool:
    try:
        with in_float64():
            values = module(*call)
    except Exception:  # its forward takes other arguments
        return False
    return (
        isinstance(values, Tensor)
        and values.shape == expected.shape
        and torch.allclose(values, expected, rtol=1e-9)
    )


def _array(tensor: Tensor) -> ir.Array:
    array: ir.Array = tensor.detach().double().numpy()
    return array


def _sequence(module: nn.Module, path: str, width: int) -> ir.Network:
    network: ir.Network = ()
    # Not named_children(): that omits the second occurrence of a module.
    for name, child in module._modules.items():
        network += read_network(child, f"{path}.{name}", output_width(network, width))
    return network


def _linear(module: Any, path: str, width: int) -> ir.Network:
    if callable(module.weight):
        raise refusal(path, "a quantised Linear; convert the model before it is quantised")
    if module.weight.dim() != 2:
        raise refusal(path, "a stack of linear maps has no counterpart; a coupling has one network")
    outputs, inputs = module.weight.shape
    if inputs != width:
        raise refusal(path, f"it takes {inputs} numbers, and is given {width}")
    bias = np.zeros(outputs) if module.bias is None else _array(module.bias)
    return (ir.Dense(_array(module.weight), bias),)


def _no_layer(module: Any, path: str, width: int) -> ir.Network:
    return ()


def _prelu(module: Any, path: str, width: int) -> ir.Network:
    if module.weight.numel() != 1:
        raise refusal(path, "a PReLU with a slope for each channel is not supported; one slope is")
    return (Activation("leaky_relu", float(module.weight)),)


def _softplus(module: Any, path: str, width: int) -> ir.Network:
    softplus = Activation("softplus")
    if module.beta == 1:
        return (softplus,)
    before, after = (Activation("multiply", float(f)) for f in (module.beta, 1 / module.beta))
    return (before, softplus, after)


def _layer_norm(module: Any, path: str, width: int) -> ir.Network:
    if tuple(module.normalized_shape) != (width,):
        raise refusal(
            path,
            f"a LayerNorm over {tuple(module.normalized_shape)}; expected one over the row of "
            f"{width} numbers that it is given",
        )
    norm = Norm(width, module.eps)
    if module.weight is None:
        return (norm,)
    bias = np.zeros(width) if module.bias is None else _array(module.bias)
    return (norm, ir.Rescale(_array(module.weight), bias))


def _zuko_layer_norm(module: Any, path: str, width: int) -> ir.Network:
    if module.dim not in (-1, 1, (-1,), (1,)):
        raise refusal(path, f"a LayerNorm over axes {module.dim}; expected one over each row")
    return (Norm(width, module.eps, correction=1),)


def _batch_norm(module: Any, path: str, width: int) -> ir.Network:
    if module.running_var is None:
        raise refusal(
            path, "a BatchNorm1d without running statistics depends on the rest of its batch"
        )
    if module.num_features != width:
        raise refusal(path, f"it takes {module.num_features} numbers, and is given {width}")
    weight = torch.rsqrt(module.running_var + module.eps)
    if module.weight is not None:
        weight = weight * module.weight
    bias = -module.running_mean * weight
    if module.bias is not None:
        bias = bias + module.bias
    return (ir.Rescale(_array(weight), _array(bias)),)


def _mlp(module: Any, path: str, width: int) -> ir.Network:
    """The MLP of nflows, nessai and glasflow: one activation between all layers."""
    function = module._activation if hasattr(module, "_activation") else module._activation_fn
    activation = recognise_activation(function, f"{path}._activation")
    network = read_network(module._input_layer, f"{path}._input_layer", width)
    for name, layer in (
        *((f"_hidden_layers.{i}", hidden) for i, hidden in enumerate(module._hidden_layers)),
        ("_output_layer", module._output_layer),
    ):
        width = output_width(network, width)
        network += (activation, *read_network(layer, f"{path}.{name}", width))
    if module._activate_output:
        last = getattr(module, "_output_activation", function)
        network += (recognise_activation(last, f"{path}._output_activation"),)
    return network


def _residual_net(module: Any, path: str, width: int) -> ir.Network:
    """The ResidualNet of nflows, which reads the passive coordinates joined with the context."""
    if getattr(module, "preprocessing", None) is not None:
        raise refusal(f"{path}.preprocessing", "a network with preprocessing is not supported")
    network = read_network(module.initial_layer, f"{path}.initial_layer", width)
    for i, block in enumerate(module.blocks):
        network += read_network(block, f"{path}.blocks.{i}", module.hidden_features)
    return network + read_network(module.final_layer, f"{path}.final_layer", module.hidden_features)


def _residual_block(module: Any, path: str, width: int) -> ir.Network:
    activation = recognise_activation(module.activation, f"{path}.activation")
    body: ir.Network = ()
    for i, linear in enumerate(module.linear_layers):
        if module.use_batch_norm:
            norm = module.batch_norm_layers[i]
            body += read_network(norm, f"{path}.batch_norm_layers.{i}", width)
        body += (activation, *read_network(linear, f"{path}.linear_layers.{i}", width))
    gate = getattr(module, "context_layer", None)
    if gate is None:
        return (ir.Residual(body),)
    (dense,) = read_network(gate, f"{path}.context_layer", gate.in_features)
    assert isinstance(dense, ir.Dense)
    return (ir.Residual(body, dense),)


def _zuko_residual(module: Any, path: str, width: int) -> ir.Network:
    return (ir.Residual(_sequence(module, path, width)),)


def _net_inside(module: Any, path: str, width: int) -> ir.Network:
    return read_network(module.net, f"{path}.net", width)


_LAYERS: dict[str, Callable[[Any, str, int], ir.Network]] = {
    "torch.Linear": _linear,
    "torch.Identity": _no_layer,
    "torch._DropoutNd": _no_layer,
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
