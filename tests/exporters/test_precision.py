"""The precision of a flow in its dtype: absolute errors, each with a limit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.scales import Exp
from rnvp_exporters import PrecisionError
from rnvp_exporters.graphs import graph_definitions
from rnvp_exporters.proof.eager import Arrays, eager
from rnvp_exporters.proof.precision import (
    LIMITS,
    check_precision,
    measure_precision,
    with_sensitivity,
)
from rnvp_exporters.proof.probes import column_scale, probe
from rnvp_exporters.proof.vectors import choose_vectors, sensitivity
from rnvp_runtime.bundle.manifest import Precision

SMALL = RNVPConfig(dim=2, hidden=(16, 16), couplings=4)


def fitted(loc: float, scale: float, config: RNVPConfig = SMALL, times: float = 1.0) -> RNVP:
    """A float64 flow standardised for columns of this location and scale."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = RNVP(config).double()
        flow.initialise(loc + scale * torch.randn(500, config.dim, dtype=torch.float64))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(times)
    return flow.eval().requires_grad_(False)


def runs(flow: RNVP, graph: int, dtype: str) -> Callable[[Arrays], Arrays]:
    """A graph that is the eager flow in ``dtype``: 0 density, 1 inverse."""
    definition = graph_definitions(flow.dim, flow.context_dim)[graph]
    own = RNVP(flow.spec).to(getattr(torch, dtype)).eval()
    own.load_state_dict(flow.state_dict())

    def run(feeds: Arrays) -> Arrays:
        return eager(own, definition, feeds)

    return run


def measured(flow: RNVP, dtype: str = "float32") -> Precision:
    """The precision of eager in ``dtype``."""
    return measure_precision(flow, dtype, runs(flow, 0, dtype), runs(flow, 1, dtype))


@pytest.mark.parametrize(
    ("loc", "scale"), [(0, 1), (1e4, 1), (-3, 1e-30), (0, 1e25), (1.7e9, 1e7), (1e-20, 1e-20)]
)
def test_columns_that_float32_can_hold_pass(loc: float, scale: float) -> None:
    """Units far from 1 pass, and so do offsets up to thousands of standard deviations."""
    assert measured(fitted(loc, scale)).faults == ()


@pytest.mark.parametrize(
    ("loc", "scale"), [(1.7e9, 1), (1e7, 1), (-1e7, 1), (1e20, 1e12), (1e-3, 1e-10)]
)
def test_columns_that_float32_cannot_hold_are_refused_and_named(loc: float, scale: float) -> None:
    """The message names the columns, float32's steps there, and what to do."""
    found = measured(fitted(loc, scale))
    with pytest.raises(PrecisionError, match="not usable in float32") as refusal:
        check_precision(found, "float32", accept_loss=False)
    for part in (
        "x0 lies around",
        "where float32 has steps of",
        "--dtype float64",
        "--accept-loss",
    ):
        assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("loc", "scale"), [(1.7e9, 1), (1e-3, 1e-10), (1e20, 1e12)])
def test_the_same_columns_pass_in_float64(loc: float, scale: float) -> None:
    """float64, which the message recommends, solves the problem."""
    assert measured(fitted(loc, scale), "float64").faults == ()


def test_a_flow_whose_samples_overflow_is_refused_with_columns_and_share() -> None:
    """The error also names the first transform that overflows."""
    flow = fitted(0, 1, replace(SMALL, dim=3, scale=Exp()), times=6)
    found = measured(flow)
    assert found.non_finite > 0.5
    message = r"% of its samples are not finite .*x\d.*overflow is transforms"
    with pytest.raises(PrecisionError, match=message):
        check_precision(found, "float32", accept_loss=True)


def test_an_accepted_loss_is_recorded() -> None:
    """--accept-loss publishes a coarse flow, and the manifest says so."""
    found = check_precision(measured(fitted(1e7, 1)), "float32", accept_loss=True)
    assert found.accepted
    assert found.faults


def test_every_number_is_finite_and_fits_json() -> None:
    """The manifest is JSON, so its numbers stay finite also where errors overflow."""
    found = measured(fitted(0, 1, replace(SMALL, scale=Exp()), times=4))
    for spread in (found.log_prob, found.x, found.round_trip):
        assert np.isfinite([spread.median, spread.p99, spread.worst]).all()


def test_collapsed_samples_are_counted() -> None:
    """In float32, thousands of samples of a timestamp have few distinct values."""
    assert measured(fitted(1.7e9, 1)).distinct < 0.01
    assert measured(fitted(0, 1)).distinct > 0.99


@pytest.mark.parametrize("heavy", [False, True])
def test_the_scale_of_a_column_is_its_standard_deviation_without_its_tails(heavy: bool) -> None:
    """A few extreme values must not make every error look small."""
    x = np.random.default_rng(0).normal(5, 2, (4000, 1))
    if heavy:
        x[:20] = 1e12
    assert column_scale(x) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("graph", [0, 1, 2], ids=["density", "inverse", "sampler"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_verification_can_tell_a_change_of_a_thousandth(graph: int, dtype: torch.dtype) -> None:
    """Weights off by 0.1 % move outputs by many tolerances, also in a flow with heavy tails."""
    for flow in (fitted(3, 2), fitted(0, 1, replace(SMALL, scale=Exp()), times=1.6)):
        definition = graph_definitions(2, 0)[graph]
        chosen = choose_vectors(flow, probe(flow, definition, dtype, exact=True))
        assert sensitivity(flow, chosen) > 20


def test_a_tolerance_that_hides_a_wrong_graph_is_a_fault() -> None:
    """With such a tolerance the check of the test vectors could never fail."""
    found = with_sensitivity(measured(fitted(0, 1)), 0.5)
    with pytest.raises(PrecisionError, match="could not be told from the right one"):
        check_precision(found, "float32", accept_loss=False)


def test_the_limits_are_what_the_documentation_says() -> None:
    """This test fails if someone raises a limit to make another test pass."""
    expected = {"log_prob": 0.05, "x": 0.01, "round_trip": 0.01, "non_finite": 0.001}
    assert expected == LIMITS
