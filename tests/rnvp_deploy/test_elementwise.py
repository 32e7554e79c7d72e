"""Flows of log, logit and integer columns: densities in the user's units, samples in the domain."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnvp_deploy import RNVP, ColumnMap, RNVPConfig, TrainingOptions, column_maps, fit, load, save
from rnvp_deploy.errors import ConfigError, TrainingError
from rnvp_deploy.mapped_columns import ColumnFunction
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.training.result import Training
from rnvp_deploy.transforms import DiagonalAffineSpec, Elementwise, ElementwiseSpec, build
from tests.flows import perturb

COLUMNS = ("price", "share", "n_hits", "a")
MAPS = column_maps(COLUMNS, log=["price"], logit=["share"], integer=["n_hits"])
SMALL = {"couplings": 2, "hidden": (8,)}
QUICK = TrainingOptions(epochs=12)


def table(rows: int = 600) -> Tensor:
    """Four dependent columns in float64 (rows, 4): positive, in (0, 1), counts, and normal."""
    draw = np.random.default_rng(7)
    a = draw.normal(size=rows)
    price = np.exp(3 + a + 0.3 * draw.normal(size=rows))
    share = 1 / (1 + np.exp(-2 * a + draw.normal(size=rows)))
    return torch.tensor(np.stack([price, share, draw.poisson(np.exp(a)), a], 1))


def mapped(dtype: torch.dtype = torch.float64, **options: object) -> RNVP:
    """A flow with maps, set from the table, whose weights differ from their initial values."""
    config = RNVPConfig(4, elementwise=MAPS, **{**SMALL, **options})  # type: ignore[arg-type]
    flow = RNVP(config, COLUMNS).double()
    flow.initialise(table())
    perturb(flow.parameters(), 0.2, torch.Generator().manual_seed(3))
    return flow.to(dtype).eval().requires_grad_(False)


def given_one(column: ColumnMap, x: Tensor) -> RNVP:
    """A flow over one column given one condition, standardised on ``x`` (n, 1)."""
    flow = RNVP(RNVPConfig(1, context_dim=1, elementwise=(column,), couplings=1)).double()
    flow.initialise(x, torch.randn(x.shape, dtype=torch.float64))
    perturb(flow.parameters(), 0.1, torch.Generator().manual_seed(1))
    return flow.eval().requires_grad_(False)


def total(flow: RNVP, x: Tensor, width: float) -> float:
    """Σ p(x) · width over the points ``x`` (n, 1)."""
    return float(flow.log_prob(x, torch.zeros_like(x)).exp().sum() * width)


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [
        (ColumnMap("log"), 0.0, 60.0),
        (ColumnMap("log", -4.0), -4.0, 56.0),
        (ColumnMap("logit"), 0.0, 1.0),
        (ColumnMap("logit", -10.0, 30.0), -10.0, 30.0),
    ],
)
def test_a_density_integrates_to_one_over_its_domain(
    column: ColumnMap, low: float, high: float
) -> None:
    """The Jacobian of the map is part of log_prob, which is in nats in the column's own units."""
    middle = low + (1.0 if column.function == "log" else 0.5 * (high - low))
    spread = torch.linspace(-0.4, 0.4, 50, dtype=torch.float64)[:, None]
    flow = given_one(column, middle + spread * min(high - low, 2.0))
    n = 400_000
    width = (high - low) / n
    x = low + width * (0.5 + torch.arange(n, dtype=torch.float64))[:, None]
    assert total(flow, x, width) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("function", ["identity", "log"])
def test_the_densities_of_integers_sum_to_one(function: ColumnFunction) -> None:
    """The density at x + ½ is the probability of the integer x, up to the midpoint rule."""
    x = torch.arange(10, 60, dtype=torch.float64)[:, None]
    flow = given_one(ColumnMap(function, integer=True), x)
    everywhere = torch.arange(0 if function == "log" else -2000, 5000, dtype=torch.float64)[:, None]
    assert total(flow, everywhere, 1.0) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=20)
@given(seed=st.integers(0, 2**20), temperature=st.floats(0.1, 20.0))
def test_samples_lie_in_the_domain(dtype: torch.dtype, seed: int, temperature: float) -> None:
    """Samples are in the domain, also in the tails, where a float would round to a bound."""
    flow = mapped(dtype)
    x = flow.sample(200, seed=seed, temperature=temperature)
    price, share, hits, _ = x.T
    assert (price > 0).all()
    assert ((share > 0) & (share < 1)).all()
    assert torch.equal(hits, hits.round())
    assert flow.elementwise is not None
    assert (~flow.elementwise.outside(x) | x.isinf()).all()  # exp may overflow


@pytest.mark.parametrize(
    "row", [[-1.0, 0.5, 2, 0], [0.0, 0.5, 2, 0], [9.0, 0.0, 2, 0], [9, 1.0, 2, 0], [9, 7.0, 2, 0]]
)
def test_a_value_outside_the_domain_has_no_density(row: list[float]) -> None:
    """log_prob is −inf for that row, and finite for the other rows."""
    flow = mapped()
    good = [9.0, 0.5, 2.0, 0.0]
    log_prob = flow.log_prob(torch.tensor([good, row, good], dtype=torch.float64))
    assert log_prob[1] == -math.inf
    assert log_prob[[0, 2]].isfinite().all()


def test_nan_stays_nan() -> None:
    """A missing value is not a value outside the domain."""
    assert mapped().log_prob(torch.full((1, 4), math.nan, dtype=torch.float64)).isnan().all()


def test_gradients_are_finite_where_values_lie_outside() -> None:
    """One bad row must not make the gradient of every weight NaN."""
    transform = build(ElementwiseSpec(MAPS)).double()
    x = torch.tensor([[-1.0, 2.0, 3.0, 0.0], [9.0, 0.5, 2.0, 0.0]], dtype=torch.float64)
    x.requires_grad_()
    z, log_det = transform(x)
    (z.sum() + log_det[1]).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_inverse_log_det_is_that_of_the_forward_direction() -> None:
    """Both are functions of z; the inverse one keeps its digits near a bound."""
    transform = build(ElementwiseSpec((ColumnMap("log", -2.0), ColumnMap("logit", -3.0, 8.0))))
    assert isinstance(transform.double(), Elementwise)
    z = 3 * torch.randn(50, 2, dtype=torch.float64)
    _, log_det = transform(transform.inverse(z))
    torch.testing.assert_close(transform.inverse_log_det(z), -log_det)


def test_a_bound_is_exact_again_in_float64() -> None:
    """0.1 as float32 is not 0.1: a float64 copy of a float32 flow has the exact bound again."""
    transform = build(ElementwiseSpec((ColumnMap("log", 0.1),))).float().double()
    assert isinstance(transform, Elementwise)
    assert transform.low.item() == 0.1


def test_maps_come_first_and_standardisation_sees_mapped_columns() -> None:
    """Mean 0 and deviation 1 hold for log price, not for price."""
    flow = RNVP(RNVPConfig(4, elementwise=MAPS)).double()
    x = table()
    flow.initialise(x)
    z = flow.transforms[1](flow.transforms[0](x)[0])[0]
    torch.testing.assert_close(z.mean(0), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(4, dtype=torch.float64))


def test_a_flow_has_maps_only_at_its_start() -> None:
    """A map after another transform would restrict the range of that transform."""
    with pytest.raises(ConfigError, match=r"transform 1: .*must come first"):
        FlowSpec(2, transforms=(DiagonalAffineSpec(2), ElementwiseSpec((ColumnMap(),) * 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ColumnMap("sqrt"), "expected identity, log or logit"),  # type: ignore[arg-type]
        (lambda: ColumnMap("logit", 2.0, 2.0), "low < high"),
        (lambda: ColumnMap("log", math.inf), "not finite"),
        (lambda: ColumnMap("log", 0.5, integer=True), "expected integers"),
        (lambda: RNVPConfig(3, elementwise=(ColumnMap(),)), "expected one for each of the 3"),
        (lambda: column_maps(("a",), log=["b"]), "'b' is to be mapped, but is not learnt"),
        (lambda: column_maps(("a",), log=["a"], logit=["a"]), "both log and logit"),
    ],
)
def test_impossible_maps_are_refused(make: Callable[[], object], message: str) -> None:
    """The error says what was found or what was expected."""
    with pytest.raises(ConfigError, match=message):
        make()


def test_no_map_leaves_the_flow_as_it_was() -> None:
    """Identity maps add no transform to the flow."""
    assert RNVPConfig(2, elementwise=(ColumnMap(), ColumnMap())).spec() == RNVPConfig(2).spec()


def test_a_checkpoint_keeps_the_maps(tmp_path: Path) -> None:
    """The maps are part of the flow, and have no weights."""
    flow = mapped()
    save(flow, tmp_path / "model.pt")
    again = load(tmp_path / "model.pt")
    assert again.spec == flow.spec
    assert torch.equal(again.log_prob(table()), flow.log_prob(table()))


def trained(maps: tuple[ColumnMap, ...], options: TrainingOptions = QUICK) -> tuple[RNVP, Training]:
    """A flow trained on the table."""
    torch.manual_seed(0)
    flow = RNVP(RNVPConfig(4, elementwise=maps, couplings=4, hidden=(16,)), COLUMNS)
    return flow, fit(flow, table(2000), options=options)


def test_training_on_mapped_columns_beats_training_without() -> None:
    """One column is skewed and one is bounded. Both flows dequantise the counts."""
    unmapped = (ColumnMap(), ColumnMap(), MAPS[2], ColumnMap())
    (_, plain), (_, result) = trained(unmapped), trained(MAPS)
    assert result.best.held_out < plain.best.held_out - 0.2


def test_mapped_columns_are_not_reported_again() -> None:
    """The options that a warning suggests remove the warning."""
    _, result = trained(MAPS, TrainingOptions(epochs=1))
    assert result.warnings == ()


def test_training_on_integers_is_reproducible_and_resumes_exactly() -> None:
    """The noise is drawn from the seeded generator of the training."""
    whole, _ = trained(MAPS, TrainingOptions(epochs=3))
    flow, first = trained(MAPS, TrainingOptions(epochs=3, max_seconds=1e-9))
    fit(flow, table(2000), options=TrainingOptions(epochs=3), resume=first.record)
    for got, want in zip(flow.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(got, want)


def test_the_noise_is_uniform_in_integer_columns_only() -> None:
    """x + ½ + noise covers [x, x + 1), and never the lower bound itself."""
    transform = build(ElementwiseSpec((ColumnMap("log", integer=True), ColumnMap())))
    assert isinstance(transform, Elementwise)
    noise = transform.noise(10_000, torch.Generator().manual_seed(0))
    assert not noise[:, 1].any()
    values = torch.sort(noise[:, 0] + 0.5).values
    assert values[0] > 0
    assert values[-1] < 1
    torch.testing.assert_close(values, torch.linspace(0, 1, 10_000), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.0, 0.5, 2, 0], "'price' must hold values above 0, but 1 of its 601 .* row 601: 0"),
        ([1.0, 1.0, 2, 0], "'share' must hold values above 0 and below 1"),
        ([1.0, 0.5, 2.5, 0], "'n_hits' must hold integers, .*: 2.5"),
        ([1.0, 0.5, 1e7, 0], "'n_hits' has integers up to 1e.07, .* float64"),
    ],
)
def test_training_names_the_value_outside_the_domain(row: list[float], message: str) -> None:
    """The error names the column and the value, and the training does not start."""
    x = torch.cat([table(), torch.tensor([row], dtype=torch.float64)])
    with pytest.raises(TrainingError, match=message):
        fit(RNVP(RNVPConfig(4, elementwise=MAPS), COLUMNS), x)
