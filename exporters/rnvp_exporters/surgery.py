"""Networks taken apart and put together again, each time the same function.

Everything here works on float64 weights and gives new networks; none is changed in place.
"""

import torch
from torch import Tensor, nn

from rnvp_deploy.networks import Dense, Network, Steps

__all__ = ["ending_dense", "heads", "identity", "place", "starting_dense", "zero"]


def identity(width: int) -> Network:
    """h ↦ h, as one dense layer."""
    return _dense(torch.eye(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64))


def zero(inputs: int, outputs: int) -> Network:
    """h ↦ 0, as one dense layer."""
    weight = torch.zeros(outputs, inputs, dtype=torch.float64)
    return _dense(weight, weight.new_zeros(outputs))


def starting_dense(network: Network, inputs: int) -> Network:
    """The same function, whose first step is ``Dense``."""
    if network.steps and isinstance(network.steps[0], Dense):
        return _joined(network)
    return _joined(identity(inputs), network)


def ending_dense(network: Network, outputs: int) -> Network:
    """The same function, whose last step is ``Dense``."""
    if network.steps and isinstance(network.steps[-1], Dense):
        return _joined(network)
    return _joined(network, identity(outputs))


def heads(network: Network, outputs: int, parts: int) -> tuple[Network | None, list[Network]]:
    """A network of parts · outputs outputs as a common trunk and a dense head for each part."""
    network = ending_dense(network, parts * outputs)
    last = network.layers[-1]
    assert isinstance(last, nn.Linear)
    pieces = zip(torch.split(last.weight, outputs), torch.split(last.bias, outputs), strict=True)
    trunk = _slice(network, 0, len(network.steps) - 1) if len(network.steps) > 1 else None
    return trunk, [_dense(weight, bias) for weight, bias in pieces]


def place(network: Network, rows: list[int], width: int, *, inputs: bool) -> Network:
    """Let a network whose first (last) step is dense read from (write to) ``width`` coordinates.

    What it read (wrote) as coordinate i is at ``rows[i]``; weights for the others are zero.
    """
    network = _joined(network)
    at = 0 if inputs else len(network.layers) - 1
    layer = network.layers[at]
    assert isinstance(layer, nn.Linear)
    weight: Tensor = layer.weight
    bias: Tensor = layer.bias
    if inputs:
        placed = weight.new_zeros(weight.shape[0], width)
        placed[:, rows] = weight
    else:
        placed = weight.new_zeros(width, weight.shape[1])
        placed[rows] = weight
        bias = bias.new_zeros(width)
        bias[rows] = layer.bias
    before, after = _slice(network, 0, at), _slice(network, at + 1, len(network.steps))
    return _joined(before, _dense(placed, bias), after)


def _dense(weight: Tensor, bias: Tensor) -> Network:
    network = Network((Dense(weight.shape[1], weight.shape[0]),)).double().requires_grad_(False)
    layer = network.layers[0]
    assert isinstance(layer, nn.Linear)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return network


def _slice(network: Network, start: int, stop: int) -> Network:
    piece = Network(()).double()
    piece.steps = network.steps[start:stop]
    piece.layers = network.layers[start:stop]
    return piece


def _joined(*networks: Network) -> Network:
    steps: Steps = sum((network.steps for network in networks), ())
    joined = Network(steps).double().requires_grad_(False)
    layers = (layer for network in networks for layer in network.layers)
    for target, layer in zip(joined.layers, layers, strict=True):
        target.load_state_dict(layer.state_dict())
    return joined
