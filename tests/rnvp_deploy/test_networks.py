"""Networks agree with the modules of PyTorch, and activations with its functions."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.networks import (
    ACTIVATIONS,
    Activation,
    Dense,
    Network,
    Norm,
    Rescale,
    Residual,
    mlp,
)

TORCH: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "identity": (0.0, lambda h: h),
    "relu": (0.0, F.relu),
    "leaky_relu": (0.2, lambda h: F.leaky_relu(h, 0.2)),
    "tanh": (0.0, torch.tanh),
    "sigmoid": (0.0, torch.sigmoid),
    "silu": (0.0, F.silu),
    "elu": (1.3, lambda h: F.elu(h, 1.3)),
    "selu": (0.0, F.selu),
    "softplus": (0.0, F.softplus),
    "gelu": (0.0, F.gelu),
    "gelu_tanh": (0.0, lambda h: F.gelu(h, approximate="tanh")),
    "sin": (0.0, torch.sin),
    "exp": (0.0, torch.exp),
    "multiply": (1.7, lambda h: h * 1.7),
    "clamp_exp": (0.0, lambda h: torch.exp(torch.clamp(h, max=0.0))),
    "softsign": (0.0, F.softsign),
    "log_sigmoid": (0.0, F.logsigmoid),
    "mish": (0.0, F.mish),
    "hard_tanh": (2.0, lambda h: F.hardtanh(h, -2.0, 2.0)),
    "relu6": (0.0, F.relu6),
    "hard_sigmoid": (0.0, F.hardsigmoid),
    "hard_swish": (0.0, F.hardswish),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_agrees_with_pytorch(name: str) -> None:
    """Each activation is the PyTorch function of its name."""
    parameter, function = TORCH[name]
    h = torch.linspace(-8, 8, 401, dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[name](parameter, h), function(h))


def test_an_unknown_activation_is_refused_with_the_known_ones() -> None:
    """The error for a misspelt activation lists the known ones."""
    with pytest.raises(ConfigError, match=r"'rleu'.*relu"):
        Activation("rleu")


def test_an_mlp_is_the_same_as_a_sequential() -> None:
    """``mlp`` computes what nn.Sequential of the same layers does."""
    network = Network(mlp(3, (8, 5), 2, Activation("relu")))
    twin = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2))
    twin.load_state_dict(dict(zip(twin.state_dict(), network.state_dict().values(), strict=True)))
    h = torch.randn(11, 3)
    torch.testing.assert_close(network(h), twin(h))


def test_a_mlp_without_hidden_layers_is_linear() -> None:
    """Without hidden widths the network is one dense layer."""
    assert mlp(3, (), 2, Activation("relu")) == (Dense(3, 2),)


def test_a_norm_and_a_rescale_make_a_layer_norm() -> None:
    """Norm then Rescale is nn.LayerNorm."""
    network, twin = Network((Norm(6), Rescale(6))), nn.LayerNorm(6)
    h = torch.randn(9, 6)
    torch.testing.assert_close(network(h), twin(h))


def test_a_residual_block_adds_its_body() -> None:
    """A residual block computes h + body(h)."""
    network = Network((Residual((Dense(4, 4),), 4),))
    h = torch.randn(5, 4)
    (block,) = network.layers
    assert isinstance(block.body, Network)
    torch.testing.assert_close(network(h), h + block.body(h))


def test_a_gate_reads_the_context() -> None:
    """A residual block with a closed gate returns its input."""
    network = Network((Residual((Dense(4, 4),), 4, gate_inputs=2),))
    (block,) = network.layers
    assert isinstance(block.gate, nn.Linear)
    nn.init.zeros_(block.gate.weight)
    nn.init.constant_(block.gate.bias, -1e3)
    h = torch.randn(5, 4)
    torch.testing.assert_close(network(h, torch.randn(5, 2)), h)
