"""Networks as immutable values, and rewrites that keep their function.

A network is a tuple of layers, applied in turn. ``Activation`` and ``Norm`` have no weights and are
those of ``rnvp_deploy.networks``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnvp_deploy.networks import Activation, Norm

__all__ = [
    "Array",
    "Dense",
    "Layer",
    "Network",
    "Rescale",
    "Residual",
    "ending_dense",
    "freeze",
    "identity",
    "map_gates",
    "output_width",
    "postcompose",
    "precompose",
    "scale_inputs",
    "scale_outputs",
    "scatter_inputs",
    "scatter_outputs",
    "select_outputs",
    "split_outputs",
    "starting_dense",
    "zero",
]

Array: TypeAlias = NDArray[np.float64]


def freeze(values: ArrayLike) -> Array:
    """A read-only float64 copy."""
    array = np.array(values, np.float64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Dense:
    """h ↦ weight · h + bias; weight: (outputs, inputs), bias: (outputs,)."""

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        _freeze_fields(self, "weight", "bias")
        assert self.bias.shape == self.weight.shape[:1], (self.bias.shape, self.weight.shape)

    @property
    def inputs(self) -> int:
        """The width that it reads."""
        return int(self.weight.shape[1])

    @property
    def outputs(self) -> int:
        """The width that it writes."""
        return int(self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Rescale:
    """h ↦ weight ⊙ h + bias; both (width,)."""

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        _freeze_fields(self, "weight", "bias")


@dataclass(frozen=True)
class Residual:
    """h ↦ h + body(h); with a gate, h + body(h) ⊙ sigmoid(gate(context))."""

    body: "Network"
    gate: Dense | None = None


Layer: TypeAlias = Dense | Activation | Norm | Rescale | Residual
Network: TypeAlias = tuple[Layer, ...]


def _freeze_fields(value: Any, *names: str) -> None:
    for name in names:
        object.__setattr__(value, name, freeze(getattr(value, name)))


def identity(width: int) -> Dense:
    """h ↦ h."""
    return Dense(np.eye(width), np.zeros(width))


def zero(inputs: int, outputs: int) -> Dense:
    """h ↦ 0."""
    return Dense(np.zeros((outputs, inputs)), np.zeros(outputs))


def starting_dense(network: Network, inputs: int) -> Network:
    """The same function, with a ``Dense`` as its first layer."""
    return network if network and isinstance(network[0], Dense) else (identity(inputs), *network)


def ending_dense(network: Network, outputs: int) -> Network:
    """The same function, with a ``Dense`` as its last layer."""
    return network if network and isinstance(network[-1], Dense) else (*network, identity(outputs))


def precompose(network: Network, weight: Array) -> Network:
    """h ↦ network(weight · h), for weight (inputs, new inputs)."""
    first, *others = starting_dense(network, len(weight))
    assert isinstance(first, Dense)
    return (Dense(first.weight @ weight, first.bias), *others)


def postcompose(network: Network, weight: Array) -> Network:
    """h ↦ weight · network(h), for weight (new outputs, outputs)."""
    *others, last = ending_dense(network, weight.shape[1])
    assert isinstance(last, Dense)
    return (*others, Dense(weight @ last.weight, weight @ last.bias))


def scale_inputs(network: Network, loc: Array, factor: Array) -> Network:
    """h ↦ network((h − loc) ⊙ factor)."""
    first, *others = starting_dense(network, len(loc))
    assert isinstance(first, Dense)
    weight = first.weight * factor
    return (Dense(weight, first.bias - weight @ loc), *others)


def scale_outputs(network: Network, factor: Array, shift: Array) -> Network:
    """h ↦ network(h) ⊙ factor + shift."""
    *others, last = ending_dense(network, len(factor))
    assert isinstance(last, Dense)
    return (*others, Dense(last.weight * factor[:, None], last.bias * factor + shift))


def select_outputs(network: Network, rows: Sequence[int], width: int) -> Network:
    """h ↦ the outputs ``rows`` of network(h), in this order, where it has ``width`` outputs."""
    return postcompose(network, np.eye(width)[list(rows)])


def split_outputs(network: Network, sizes: Sequence[int]) -> tuple[Network, list[Dense]]:
    """A network as a common trunk and one dense head for each group of its outputs."""
    *trunk, last = ending_dense(network, sum(sizes))
    assert isinstance(last, Dense)
    at = np.cumsum(sizes)[:-1]
    heads = zip(np.split(last.weight, at), np.split(last.bias, at), strict=True)
    return tuple(trunk), [Dense(weight, bias) for weight, bias in heads]


def scatter_inputs(network: Network, rows: Sequence[int], width: int) -> Network:
    """Read input i from coordinate ``rows[i]`` of ``width``; the weights of the others are 0."""
    first, *others = starting_dense(network, len(rows))
    assert isinstance(first, Dense)
    weight = np.zeros((first.outputs, width))
    weight[:, list(rows)] = first.weight
    return (Dense(weight, first.bias), *others)


def scatter_outputs(network: Network, rows: Sequence[int], width: int) -> Network:
    """Write output i to coordinate ``rows[i]`` of ``width``; the others are 0."""
    *others, last = ending_dense(network, len(rows))
    assert isinstance(last, Dense)
    weight, bias = np.zeros((width, last.inputs)), np.zeros(width)
    weight[list(rows)], bias[list(rows)] = last.weight, last.bias
    return (*others, Dense(weight, bias))


def output_width(network: Network, inputs: int) -> int:
    """The number of outputs of a network that is given ``inputs`` numbers."""
    for layer in reversed(network):
        match layer:
            case Dense():
                return layer.outputs
            case Rescale(weight):
                return len(weight)
            case Norm(width):
                return width
            case Residual(body) if width := output_width(body, 0):
                return width
    return inputs


def map_gates(network: Network, change: Callable[[Dense], Dense]) -> Network:
    """The network with ``change`` applied to the gate of every residual block."""

    def changed(layer: Layer) -> Layer:
        if not isinstance(layer, Residual):
            return layer
        gate = None if layer.gate is None else change(layer.gate)
        return replace(layer, body=map_gates(layer.body, change), gate=gate)

    return tuple(map(changed, network))
