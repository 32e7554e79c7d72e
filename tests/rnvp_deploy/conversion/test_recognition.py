"""Functions are recognised by what they compute."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnvp_deploy import scales
from rnvp_deploy.conversion.recognition import (
    recognisable_scales,
    recognise_activation,
    recognise_scale,
)
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.networks import ACTIVATIONS, Activation

NUMBERS = {"leaky_relu": 0.01, "elu": 0.7, "multiply": 0.3, "hard_tanh": 2.0}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_recognised(name: str) -> None:
    """Every supported activation is recognised with its parameter."""
    activation = Activation(name, NUMBERS.get(name, 0.0))
    found = recognise_activation(lambda h: ACTIVATIONS[name](activation.parameter, h), "")
    assert found == activation


@pytest.mark.parametrize(
    ("source", "expected"),
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
def test_activations_of_torch(source: Any, expected: Activation) -> None:
    """Modules and functions of torch are recognised as the activations that they compute."""
    assert recognise_activation(source, "") == expected


@pytest.mark.parametrize("bound", [0.5, 29.9, 30.0, 31.0, 88.0, 300.0, 1e5, 1e20])
def test_an_activation_that_ends_at_a_bound_is_not_the_one_without_it(bound: float) -> None:
    """A relu, leaky relu or identity with a bound is recognised with its bound, or refused."""
    for function in (torch.relu, F.leaky_relu):
        with pytest.raises(ConversionError, match=r"^net\.1: "):
            recognise_activation(lambda h, f=function: f(h).clamp(-bound, bound), "net.1")
    if bound <= 1e5:
        found = recognise_activation(lambda h: h.clamp(-bound, bound), "net.1")
        assert found == Activation("hard_tanh", bound)


@pytest.mark.parametrize("source", [nn.Softmax(-1), nn.Tanhshrink(), torch.cumsum, lambda h: None])
def test_a_function_that_is_not_an_activation_is_refused(source: Any) -> None:
    """A function that is not a supported activation is refused with the path of its layer."""
    with pytest.raises(ConversionError, match=r"^net\.1: "):
        recognise_activation(source, "net.1")


@pytest.mark.parametrize(
    "scale",
    [
        *(scale for kind in recognisable_scales() for scale in kind.examples()),
        scales.Tanh(1.7),
        scales.Tanh(1.7, width=1.7),
        scales.Sigmoid(2.5),
        scales.SoftClip(1e-4),
        scales.SoftClip(0.05),
        scales.Clip(-2.0, 1.0),
        scales.Clip(1.0, 3.0),
    ],
    ids=str,
)
def test_scale_functions_are_recognised(scale: Callable[[Tensor], Tensor]) -> None:
    """The examples of every kind are recognised, and so are other parameters.

    Two kinds may be the same function: Sigmoid(2) is Tanh(2, width=2).
    """
    u = torch.linspace(-9, 9, 99, dtype=torch.float64)[:, None]
    found = recognise_scale(lambda u: scale(u), "")
    assert found == scale or torch.allclose(found(u), scale(u), rtol=1e-14, atol=0)


def through_exp(sigma: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """σ as a library that stores the scale has it: infinite where exp is."""
    return lambda u: torch.log(torch.exp(sigma(u)))


BOUNDS = [5.0, 20.0, 29.9, 30.0, 30.1, 50.0, 88.0, 100.0, 300.0, 699.0]


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("write", [through_exp, lambda sigma: sigma], ids=["exp", "log"])
def test_a_clamp_at_any_place_is_recognised(bound: float, write: Any) -> None:
    """A scale that is clamped on both sides or on one is a Clip, wherever the clamp is."""
    u = torch.linspace(-705, 705, 999, dtype=torch.float64)[:, None]
    for low, high in ((-bound, bound), (-bound, 1.0), (None, bound), (-bound, None)):
        found = recognise_scale(write(lambda u, a=low, b=high: u.clamp(a, b)), "")
        assert isinstance(found, scales.Clip)
        assert torch.allclose(found(u), u.clamp(low, high), rtol=1e-13, atol=0)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize(
    "inner", [scales.Exp(), scales.Tanh(), scales.SoftClip(), scales.LogSigmoid()], ids=str
)
def test_a_scale_that_is_another_beyond_a_bound_is_refused(
    bound: float, inner: Callable[[Tensor], Tensor]
) -> None:
    """A function that equals a known scale up to a bound on u, on either side, is refused."""
    for beyond in (lambda u: u.abs() > bound, lambda u: u > bound, lambda u: u < -bound):
        for other in (0.3, torch.nan, torch.inf):
            function = through_exp(
                lambda u, far=beyond, y=other: torch.where(far(u), y, inner(u))  # type: ignore[misc]
            )
            with pytest.raises(ConversionError, match=r"^flows\.3: its scale"):
                recognise_scale(function, "flows.3")


def test_a_scale_without_a_value_where_exp_overflows_is_recognised() -> None:
    """A sigmoid as a quotient of exponentials is NaN beyond 709, and is a sigmoid all the same."""
    quotient = recognise_scale(lambda u: torch.log(torch.exp(u) / (1 + torch.exp(u))), "")
    assert quotient == scales.LogSigmoid(shift=0.0)


@pytest.mark.parametrize(
    "source", [torch.sin, lambda u: 3 * torch.tanh(u - 2), lambda u: u**3, torch.zeros_like]
)
def test_an_unknown_scale_is_refused_with_the_list_of_those_recognised(source: Any) -> None:
    """An unknown scale is refused, and the error lists the scales that are recognised."""
    with pytest.raises(ConversionError, match=r"^flows\.3: its scale .*") as refusal:
        recognise_scale(source, "flows.3")
    listed = str(refusal.value).partition("supported are ")[2].partition(" (")[0].split(", ")
    assert listed == [kind.__name__ for kind in recognisable_scales()]
