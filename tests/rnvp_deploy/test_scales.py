"""Every scale function agrees with its formula in numpy, also at extreme inputs."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from rnvp_deploy import scales
from rnvp_deploy.errors import ConfigError

Array = NDArray[np.float64]

# Name -> (the scale, the formula that its class promises).
SCALES = {
    "exp": (scales.Exp(), lambda u: u),
    "tanh": (scales.Tanh(), np.tanh),
    "tanh, bound": (scales.Tanh(bound=2.5), lambda u: 2.5 * np.tanh(u)),
    "tanh, width": (scales.Tanh(bound=2.0, width=2.0), lambda u: 2.0 * np.tanh(u / 2.0)),
    "atan": (scales.Atan(bound=2.0), lambda u: 2.0 * 0.636 * np.arctan(u)),
    "sigmoid": (scales.Sigmoid(bound=3.0), lambda u: 3.0 * (2.0 * expit(u) - 1.0)),
    "soft clip": (scales.SoftClip(), lambda u: u / (1.0 + np.abs(u / np.log(1e-3)))),
    "log sigmoid": (scales.LogSigmoid(), lambda u: log_expit(u + 2.0)),
    "minus log sigmoid": (scales.LogSigmoid(sign=-1.0), lambda u: -log_expit(u + 2.0)),
    "log sigmoid plus": (scales.LogSigmoidPlus(), lambda u: np.log(expit(u + 2.0) + 1e-3)),
    "log softplus": (
        scales.LogSoftplus(),
        lambda u: np.log(np.minimum(np.logaddexp(0.0, u) + 1e-3, 3.0)),
    ),
    "clip": (scales.Clip(), lambda u: np.clip(u, -5.0, 3.0)),
    "centred": (scales.Centred(), lambda u: np.tanh(u) - np.tanh(u).mean(-1, keepdims=True)),
}
BOUNDS = {
    "tanh": 1.0,
    "tanh, bound": 2.5,
    "tanh, width": 2.0,
    "atan": 0.636 * 2.0 * np.pi / 2,
    "sigmoid": 3.0,
    "soft clip": -np.log(1e-3),
}

each = pytest.mark.parametrize("name", SCALES)
rows = st.lists(st.floats(-60, 60), min_size=3, max_size=3).map(lambda u: np.array([u]))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, np.float32(np.inf)])
@pytest.mark.parametrize(
    ("kind", "parameter"),
    [
        (kind, field.name)
        for kind in scales.SCALES.values()
        for field in fields(kind)
        if isinstance(field.default, float)
    ],
)
def test_a_parameter_is_finite(kind: type[scales.Scale], parameter: str, value: float) -> None:
    """NaN and infinity are refused for each parameter of each scale function."""
    with pytest.raises(ConfigError, match="out of range"):
        kind(**{parameter: value})


def test_every_public_scale_is_in_the_table() -> None:
    """A scale function that is added without its formula fails here."""
    tested = {type(scale).__name__ for scale, _ in SCALES.values()}
    assert tested == {kind.__name__ for kind in scales.SCALES.values()}


@each
@given(u=rows)
def test_it_is_its_formula(name: str, u: Array) -> None:
    """In float64 a scale is its formula to rounding."""
    scale, formula = SCALES[name]
    np.testing.assert_allclose(scale(torch.tensor(u)).numpy(), formula(u), rtol=1e-12, atol=1e-12)


@each
def test_float32_is_right_at_the_extremes(name: str) -> None:
    """Where a naive sigmoid underflows or a softplus rounds to 0, float32 keeps its precision."""
    scale, formula = SCALES[name]
    u = np.array([[-30.0, -20.0, -16.0, -12.0, -1e-3, 0.0, 1e-3, 12.0, 16.0, 20.0, 30.0]])
    np.testing.assert_allclose(
        scale(torch.tensor(u, dtype=torch.float32)).numpy(),
        formula(u.astype(np.float32).astype(np.float64)),
        rtol=3e-6,
        atol=3e-7,
    )


@pytest.mark.parametrize("u", [-1e30, 1e30])
@each
def test_no_finite_input_gives_nan(name: str, u: float) -> None:
    """σ is not NaN for any finite output of a network."""
    assert not torch.isnan(SCALES[name][0](torch.full((2, 3), u))).any()


@each
def test_its_gradient_is_finite(name: str) -> None:
    """The gradient is finite at 0 and for large inputs, so training gets no NaN."""
    u = torch.tensor([[-90.0, -20.0, 0.0, 20.0, 90.0]], requires_grad=True)
    SCALES[name][0](u).sum().backward()
    assert u.grad is not None
    assert torch.isfinite(u.grad).all()


@each
@given(u=rows)
def test_odd_means_odd(name: str, u: Array) -> None:
    """A scale with ``odd`` changes its sign with u, bit for bit."""
    scale, _ = SCALES[name]
    if scale.odd:
        assert torch.equal(scale(torch.tensor(-u)), -scale(torch.tensor(u)))


@each
def test_odd_is_set_where_it_holds(name: str) -> None:
    """A scale without ``odd`` is not an odd function, except for the centred scale."""
    scale, _ = SCALES[name]
    u = torch.tensor([[4.0, 1.0, -2.0]])
    if not scale.odd and name != "centred":
        assert not torch.allclose(scale(-u), -scale(u))


@each
def test_zero_at_zero_means_zero(name: str) -> None:
    """``zero_at_zero`` is true exactly for the scales with σ(0) = 0, to the bit.

    For clip σ(0) depends on its bounds, so clip does not set it.
    """
    scale, _ = SCALES[name]
    holds = torch.equal(scale(torch.zeros(1, 3)), torch.zeros(1, 3))
    assert holds == (scale.zero_at_zero or name == "clip")


@pytest.mark.parametrize("name", BOUNDS)
@given(u=st.floats(-1e6, 1e6))
def test_it_stays_within_its_bound(name: str, u: float) -> None:
    """A bounded scale never exceeds the bound of its parameter."""
    sigma = SCALES[name][0](torch.tensor([[u]], dtype=torch.float64))
    assert float(sigma.abs()) <= BOUNDS[name] * (1 + 1e-12)


def test_centred_keeps_volume() -> None:
    """The centred scale's σ sum to zero over the coordinates of a row."""
    sigma = scales.Centred()(torch.randn(50, 5, dtype=torch.float64))
    torch.testing.assert_close(sigma.sum(-1), torch.zeros(50, dtype=torch.float64))


def test_scales_are_values() -> None:
    """Scales with equal parameters are equal, and repr shows the parameters."""
    assert scales.Tanh(bound=2.0) == scales.Tanh(bound=2.0) != scales.Tanh()
    assert repr(scales.Clip()) == "Clip(low=-5.0, high=3.0)"


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("Tanh", {"bound": 0.0}),
        ("SoftClip", {"slope": 1.0}),
        ("SoftClip", {"slope": 0.0}),
        ("LogSigmoidPlus", {"eps": -1.0}),
        ("Clip", {"low": 1.0, "high": 0.0}),
    ],
)
def test_an_invalid_parameter_of_a_scale_is_refused(
    kind: str, parameters: dict[str, float]
) -> None:
    """The error is raised when the flow is described, not after its training."""
    with pytest.raises(ConfigError, match=f"{kind}.* is not a scale function"):
        getattr(scales, kind)(**parameters)
