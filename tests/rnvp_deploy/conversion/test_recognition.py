"""Functions are recognised by what they compute."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnvp_deploy import scales
from rnvp_deploy.conversion.recognition import recognise_activation, recognise_scale
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.networks import ACTIVATIONS, Activation

NUMBERS = {"leaky_relu": 0.01, "elu": 0.7, "multiply": 0.3, "hard_tanh": 2.0}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_ours_is_recognised(name: str) -> None:
    activation = Activation(name, NUMBERS.get(name, 0.0))
    found = recognise_activation(lambda h: ACTIVATIONS[name](activation.parameter, h), "")
    assert found == activation


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (nn.ReLU(), Activation("relu")),
        (F.relu, Activation("relu")),
        (torch.relu, Activation("relu")),
        (nn.LeakyReLU(0.2), Activation("leaky_relu", 0.2)),
        (nn.LeakyReLU(0.0), Activation("relu")),
        (nn.RReLU(0.1, 0.3).eval(), Activation("leaky_relu", 0.2)),
        (nn.ELU(0.7), Activation("elu", 0.7)),
        (nn.CELU(), Activation("elu", 1.0)),
        (nn.SELU(), Activation("selu")),
        (nn.GELU(), Activation("gelu")),
        (nn.GELU("tanh"), Activation("gelu_tanh")),
        (lambda x: x * torch.sigmoid(x), Activation("silu")),
        (nn.Softplus(), Activation("softplus")),
        (nn.Mish(), Activation("mish")),
        (nn.Softsign(), Activation("softsign")),
        (nn.LogSigmoid(), Activation("log_sigmoid")),
        (nn.Hardtanh(), Activation("hard_tanh", 1.0)),
        (nn.ReLU6(), Activation("relu6")),
        (nn.Hardsigmoid(), Activation("hard_sigmoid")),
        (nn.Hardswish(), Activation("hard_swish")),
    ],
)
def test_activations_of_torch(theirs: Any, ours: Activation) -> None:
    assert recognise_activation(theirs, "") == ours


@pytest.mark.parametrize("theirs", [nn.Softmax(-1), nn.Tanhshrink(), torch.cumsum, lambda h: None])
def test_what_is_no_activation_of_ours_is_refused(theirs: Any) -> None:
    with pytest.raises(ConversionError, match=r"^net\.1: "):
        recognise_activation(theirs, "net.1")


@pytest.mark.parametrize(
    "scale",
    [
        scales.Exp(),
        scales.Tanh(),
        scales.Tanh(1.7),
        scales.Tanh(1.7, width=1.7),
        scales.Sigmoid(2.5),
        scales.Atan(2.0),
        scales.SoftClip(1e-3),
        scales.SoftClip(1e-4),
        scales.SoftClip(0.05),
        scales.Clip(-5.0, 3.0),
        scales.LogSigmoid(),
        scales.LogSigmoid(-1.0),
        scales.LogSigmoidPlus(),
        scales.LogSoftplus(),
    ],
)
def test_every_scale_of_ours_is_recognised(scale: Callable[[Tensor], Tensor]) -> None:
    assert recognise_scale(lambda u: scale(u), "") == scale


def test_a_scale_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"^flows\.3: its scale .*SoftClip"):
        recognise_scale(torch.sin, "flows.3")
