"""The networks inside couplings: described by plain values, built as modules.

A network is a tuple of steps, applied in turn to rows (n, width). The steps cover the
conditioners of R-NVP flows in practice: dense layers, elementwise activations, normalisation of a
row, and residual blocks, which the context may gate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from rnvp_deploy.errors import ConfigError

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Dense",
    "Network",
    "Norm",
    "Rescale",
    "Residual",
    "ResidualBlock",
    "Step",
    "Steps",
    "mlp",
    "width_after",
]


@dataclass(frozen=True)
class Dense:
    """h ↦ W h + b, W: (outputs, inputs)."""

    inputs: int
    outputs: int


@dataclass(frozen=True)
class Activation:
    """h ↦ a(h), elementwise; ``name`` is a key of ``ACTIVATIONS``, ``parameter`` its number."""

    name: str
    parameter: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ConfigError(f"{self.name!r} is not an activation; expected one of {known}")


@dataclass(frozen=True)
class Norm:
    """h ↦ (h − mean) / √(var + eps) over each row; var divides by width − correction."""

    width: int
    eps: float = 1e-5
    correction: int = 0


@dataclass(frozen=True)
class Rescale:
    """h ↦ weight ⊙ h + bias: a batch norm in eval mode, or the affine part of a norm."""

    width: int


@dataclass(frozen=True)
class Residual:
    """h ↦ h + body(h); with a gate, h + body(h) ⊙ sigmoid(G · context + g)."""

    body: "Steps"
    width: int
    gate_inputs: int = 0


Step: TypeAlias = Dense | Activation | Norm | Rescale | Residual
Steps: TypeAlias = tuple[Step, ...]


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int, activation: Activation) -> Steps:
    """Steps of a multilayer perceptron."""
    steps: list[Step] = []
    for width in hidden:
        steps += [Dense(inputs, width), activation]
        inputs = width
    return (*steps, Dense(inputs, outputs))


def width_after(steps: Steps, inputs: int, context_dim: int) -> int:
    """The number of outputs of a network that is given ``inputs`` numbers.

    Raises:
        ConfigError: a step does not fit the width that arrives there, or a gate the context.
    """
    width = inputs
    for step in steps:
        match step:
            case Dense():
                expected, after = step.inputs, step.outputs
            case Norm() | Rescale():
                expected = after = step.width
            case Residual():
                expected = after = step.width
                if step.gate_inputs not in (0, context_dim):
                    raise ConfigError(
                        f"a gate takes {step.gate_inputs} conditions; the flow has {context_dim}"
                    )
                if (body := width_after(step.body, step.width, context_dim)) != step.width:
                    raise ConfigError(
                        f"a residual block of width {step.width} has a body with {body} outputs"
                    )
            case _:
                expected = after = width
        if min(expected, after) < 1 or expected != width:
            raise ConfigError(f"{step} is given {width} numbers; expected {expected}, at least 1")
        width = after
    return width


class Network(nn.Module):
    """R^inputs → R^outputs, built from ``steps``.

    ``forward(h, context)``: h (n, inputs) → (n, outputs). Only gated residual blocks read
    ``context``; where the first layer reads it too, a coupling has joined it to h.
    """

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleList([_build(step) for step in steps])

    def forward(self, h: Tensor, context: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            h = layer(h, context) if isinstance(layer, ResidualBlock) else layer(h)
        return h


class ResidualBlock(nn.Module):
    """The module of a ``Residual``."""

    def __init__(self, step: Residual) -> None:
        super().__init__()
        self.body = Network(step.body)
        self.gate = nn.Linear(step.gate_inputs, step.width) if step.gate_inputs else None

    def forward(self, h: Tensor, context: Tensor | None = None) -> Tensor:
        change: Tensor = self.body(h, context)
        if self.gate is not None:
            change = change * torch.sigmoid(self.gate(context))
        return h + change


class RowNorm(nn.Module):
    """The module of a ``Norm``."""

    def __init__(self, step: Norm) -> None:
        super().__init__()
        self.step = step

    def forward(self, h: Tensor) -> Tensor:
        centred = h - h.mean(-1, keepdim=True)
        squares = (centred * centred).sum(-1, keepdim=True)
        variance = squares / (self.step.width - self.step.correction)
        return centred / torch.sqrt(variance + self.step.eps)


class Rescaled(nn.Module):
    """The module of a ``Rescale``."""

    def __init__(self, step: Rescale) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(step.width))
        self.bias = nn.Parameter(torch.zeros(step.width))

    def forward(self, h: Tensor) -> Tensor:
        return h * self.weight + self.bias


class Elementwise(nn.Module):
    """The module of an ``Activation``."""

    def __init__(self, step: Activation) -> None:
        super().__init__()
        self.step = step
        self.function = partial(ACTIVATIONS[step.name], step.parameter)

    def forward(self, h: Tensor) -> Tensor:
        return self.function(h)


def _build(step: Step) -> nn.Module:
    match step:
        case Dense():
            return nn.Linear(step.inputs, step.outputs)
        case Activation():
            return Elementwise(step)
        case Norm():
            return RowNorm(step)
        case Rescale():
            return Rescaled(step)
        case Residual():
            return ResidualBlock(step)


def _softplus(h: Tensor) -> Tensor:
    return torch.relu(h) + torch.log(1.0 + torch.exp(-torch.abs(h)))


def _elu(a: float, h: Tensor) -> Tensor:
    return torch.relu(h) + a * (torch.exp(-torch.relu(-h)) - 1.0)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

# Written so that every one lowers to operators that onnxruntime has in float32 and in float64.
ACTIVATIONS: dict[str, Callable[[float, Tensor], Tensor]] = {
    "identity": lambda _, h: h,
    "relu": lambda _, h: torch.relu(h),
    "leaky_relu": lambda a, h: torch.relu(h) - a * torch.relu(-h),
    "tanh": lambda _, h: torch.tanh(h),
    "sigmoid": lambda _, h: torch.sigmoid(h),
    "silu": lambda _, h: h * torch.sigmoid(h),
    "elu": _elu,
    "selu": lambda _, h: _SELU_SCALE * _elu(_SELU_ALPHA, h),
    "softplus": lambda _, h: _softplus(h),
    "gelu_tanh": lambda _, h: (
        0.5 * h * (1 + torch.tanh(0.7978845608028654 * (h + 0.044715 * h**3)))
    ),
    "gelu": lambda _, h: 0.5 * h * (1 + torch.erf(h * 0.7071067811865476)),
    "sin": lambda _, h: torch.sin(h),
    "exp": lambda _, h: torch.exp(h),
    "multiply": lambda a, h: h * a,
    "clamp_exp": lambda _, h: torch.exp(-torch.relu(-h)),
    "softsign": lambda _, h: h / (1.0 + torch.abs(h)),
    "log_sigmoid": lambda _, h: -_softplus(-h),
    "mish": lambda _, h: h * torch.tanh(_softplus(h)),
    "hard_tanh": lambda a, h: torch.clamp(h, -a, a),
    "relu6": lambda _, h: torch.clamp(h, 0.0, 6.0),
    "hard_sigmoid": lambda _, h: torch.clamp(h / 6.0 + 0.5, 0.0, 1.0),
    "hard_swish": lambda _, h: h * torch.clamp(h / 6.0 + 0.5, 0.0, 1.0),
}
"""Elementwise functions a(parameter, h), by name."""
