"""The inference form computes the same function as the flow, for every kind of flow."""

import pytest
import torch

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.config import Mixing
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import ACTIVATIONS
from rnvp_deploy.scales import Tanh
from rnvp_exporters.graphs import steps
from rnvp_exporters.graphs.modules import Density, Inverse, Sampler
from rnvp_exporters.graphs.operators import ONNX, PLAIN, Operators
from rnvp_exporters.lowering import lower
from tests.flows import CONFIGS, MAPS, SCALES, lively, map_spec, some_context, some_data

DOUBLE = torch.float64


def hold_to_eager(flow: RNVP, operators: Operators = PLAIN) -> None:
    """Compare density and inverse with the eager flow."""
    x, context = some_data(flow), some_context(flow, 64)
    z, log_pz, log_jacob = flow(x, context)
    log_prob, got_z = Density(lower(flow), operators, DOUBLE)(x, context)
    got_x, got_log_prob = Inverse(lower(flow), operators, DOUBLE)(z, context)
    torch.testing.assert_close(got_z, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got_x, x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_prob, log_pz + log_jacob, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got_log_prob, log_pz + log_jacob, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
def test_each_kind_of_flow(name: str) -> None:
    """Density and inverse give eager's numbers."""
    hold_to_eager(lively(CONFIGS[name]))


@pytest.mark.parametrize("mixing", ["swap", "permute"])
@pytest.mark.parametrize("name", SCALES)
def test_each_scale_function(name: str, mixing: Mixing) -> None:
    """Density and inverse give eager's numbers, with halves apart and with coordinates together."""
    hold_to_eager(
        lively(RNVPConfig(dim=5, scale=SCALES[name], mixing=mixing, hidden=(8,), couplings=3))
    )


@pytest.mark.parametrize("permuted", [False, True], ids=["halves", "permuted"])
@pytest.mark.parametrize("name", MAPS)
def test_each_elementwise_map(name: str, permuted: bool) -> None:
    """Coordinates that a coupling does not move stay as they are."""
    hold_to_eager(lively(map_spec(MAPS[name], permuted=permuted)))


@pytest.mark.parametrize("permuted", [False, True], ids=["halves", "permuted"])
def test_a_map_without_its_own_step_runs_its_eager_code(
    permuted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new map can be exported through its eager code, without a step in COUPLING_STEPS."""
    monkeypatch.setattr(steps, "COUPLING_STEPS", {})
    hold_to_eager(lively(map_spec(Affine(Tanh()), permuted=permuted)))
    hold_to_eager(lively(CONFIGS["given"]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation(activation: str) -> None:
    """Any elementwise activation may stand between layers."""
    config = RNVPConfig(dim=3, activation=activation, hidden=(8, 8), couplings=2)
    hold_to_eager(lively(config, spread=0.02))


def test_the_custom_operators_compute_what_the_plain_ones_do() -> None:
    """The operators that the ONNX exporter translates give the right numbers in torch too."""
    flow = lively(CONFIGS["odd"])
    hold_to_eager(flow, ONNX)
    arguments = [torch.tensor(value) for value in (-3, 2**40, 5)] + [torch.tensor(0.7)]
    custom, plain = (
        Sampler(lower(flow), operators, DOUBLE)(*arguments) for operators in (ONNX, PLAIN)
    )
    for a, b in zip(custom, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_sampler_draws_what_eager_draws(name: str) -> None:
    """The sampler scales rows of the stream by the temperature and applies the inverse."""
    flow = lively(CONFIGS[name])
    context = some_context(flow, 6)
    scalars = [torch.tensor(value) for value in (11, 3, 6)]
    x, log_prob = Sampler(lower(flow), PLAIN, DOUBLE)(
        *scalars, torch.tensor(0.6, dtype=DOUBLE), context
    )
    want = flow.sample(6, seed=11, start=3, temperature=0.6, context=context)
    torch.testing.assert_close(x, want, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_prob, flow.log_prob(want, context), rtol=1e-9, atol=1e-9)


def test_halves_that_swap_roles_are_kept_apart() -> None:
    """Two halves that swap roles need no node that splits or joins them between couplings."""
    assert lower(lively(CONFIGS["odd"])).halves_apart
    assert lower(lively(RNVPConfig(dim=6, hidden=(8,), couplings=3))).halves_apart
    assert not lower(lively(CONFIGS["permuted"])).halves_apart
    assert not lower(lively(CONFIGS["linear"])).halves_apart
