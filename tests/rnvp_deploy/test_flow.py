"""The public interface of a flow: outputs, both dtypes, contexts and samples."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.errors import ConfigError
from rnvp_deploy.networks import ACTIVATIONS
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import DiagonalAffine, PermutationSpec
from rnvp_runtime.errors import InputError

configs = st.builds(
    lambda dim, split, **options: RNVPConfig(dim, split=1 + split % (dim - 1), **options),
    dim=st.integers(2, 7),
    split=st.integers(0, 5),
    context_dim=st.sampled_from([0, 0, 2]),
    couplings=st.integers(1, 4),
    hidden=st.sampled_from([(6,), (6, 6)]),
    residual=st.booleans(),
    joint=st.booleans(),
    activation=st.sampled_from(["relu", "silu", "tanh", "leaky_relu"]),
    mixing=st.sampled_from(["swap", "permute", "lu"]),
    actnorm=st.booleans(),
    standardise=st.booleans(),
)


def rows(flow: RNVP, n: int = 8) -> tuple[Tensor, Tensor | None]:
    """x (n, d) and context (n, c) or None, off-centre and of unequal scales, in its dtype."""
    x = torch.randn(n, flow.dim, dtype=flow.dtype) * torch.arange(1.0, flow.dim + 1) + 3.0
    c = torch.randn(n, flow.context_dim, dtype=flow.dtype) - 2.0 if flow.context_dim else None
    return x.to(flow.dtype), c


def made(config: RNVPConfig) -> RNVP:
    """A flow in float64 whose layers are initialised from data."""
    flow = RNVP(config).double()
    flow.initialise(*rows(flow, 40))
    return flow.requires_grad_(False)


@settings(max_examples=40)
@given(config=configs)
def test_any_flow_inverts(config: RNVPConfig) -> None:
    """inverse(forward(x)) = x for any configuration."""
    flow = made(config)
    x, context = rows(flow)
    z, _, _ = flow(x, context)
    torch.testing.assert_close(flow.inverse(z, context), x, rtol=1e-6, atol=1e-6)


@settings(max_examples=15)
@given(config=configs)
def test_the_log_jacob_of_any_flow_agrees_with_autodiff(config: RNVPConfig) -> None:
    """log_jacob is the log-determinant of the flow's Jacobian, standardisation included."""
    flow = made(config)
    x, context = rows(flow, 2)
    _, _, log_jacob = flow(x, context)
    for i in range(len(x)):
        c = None if context is None else context[i : i + 1]
        jacobian = torch.func.jacrev(lambda row, c=c: flow(row[None], c)[0][0])(x[i])
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, log_jacob[i])


def test_calling_a_flow_gives_z_log_pz_and_log_jacob() -> None:
    """The negative mean of log_pz + log_jacob is a loss with gradients."""
    flow = RNVP(RNVPConfig(dim=3))
    z, log_pz, log_jacob = flow(torch.randn(5, 3))
    assert (z.shape, log_pz.shape, log_jacob.shape) == ((5, 3), (5,), (5,))
    loss = -(log_jacob + log_pz).mean()
    loss.backward()
    assert all(p.grad is not None for p in flow.parameters())
    assert flow.inverse(z).shape == (5, 3)


def test_log_pz_is_that_of_a_standard_normal() -> None:
    """log p_Z(z) is that of independent standard normals."""
    flow = RNVP(RNVPConfig(dim=3))
    z, log_pz, _ = flow(torch.randn(5, 3))
    torch.testing.assert_close(log_pz, torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1))


def test_the_density_integrates_to_one() -> None:
    """exp(log_prob) is a density in the user's units."""
    flow = made(RNVPConfig(dim=2, couplings=4))
    axis = torch.linspace(-40, 40, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = flow.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    torch.testing.assert_close(mass, torch.tensor(1.0, dtype=torch.float64), rtol=1e-3, atol=0.0)


@given(shift=st.floats(-50, 50), stretch=st.floats(0.1, 10))
@settings(max_examples=10)
def test_density_moves_with_the_data(shift: float, stretch: float) -> None:
    """On data scaled by ``stretch``, log_prob is lower by log(stretch) for each column."""
    x = torch.randn(50, 2, dtype=torch.float64)
    flow = RNVP(RNVPConfig(dim=2, couplings=2)).double()
    flow.initialise(x)
    before = flow.log_prob(x)
    flow.initialise(x * stretch + shift)
    after = flow.log_prob(x * stretch + shift)
    torch.testing.assert_close(after, before - 2 * math.log(stretch), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_trains(activation: str) -> None:
    """A flow with any activation has finite gradients."""
    flow = RNVP(RNVPConfig(dim=2, activation=activation, couplings=2, hidden=(8,)))
    (-flow.log_prob(torch.randn(20, 2)).mean()).backward()
    for parameter in flow.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_flow_keeps_its_dtype(dtype: torch.dtype) -> None:
    """float32 inputs give float32 outputs, and float64 inputs give float64 outputs."""
    flow = RNVP(RNVPConfig(dim=3, context_dim=1, mixing="lu", actnorm=True)).to(dtype)
    x, context = rows(flow)
    z, log_pz, log_jacob = flow(x, context)
    sample = flow.sample(3, seed=1, context=torch.zeros(3, 1, dtype=dtype))
    assert {t.dtype for t in (z, log_pz, log_jacob, flow.inverse(z, context), sample)} == {dtype}
    assert flow.dtype == dtype


def test_a_flow_without_weights_keeps_its_dtype() -> None:
    """double() makes a flow of permutations one of float64, as it does other flows."""
    flow = RNVP(FlowSpec(dim=2, transforms=(PermutationSpec((1, 0)),)))
    assert flow.dtype == torch.float32
    assert flow.double().sample(1, seed=1).dtype == torch.float64
    assert not flow.state_dict()


@pytest.mark.parametrize("actnorm", [False, True])
def test_initialise_sets_layers_in_turn(actnorm: bool) -> None:
    """After ``initialise``, each affine that is set from data outputs standardised rows."""
    flow = made(RNVPConfig(dim=3, actnorm=actnorm, couplings=3))
    x, _ = rows(flow, 500)
    flow.initialise(x)
    for transform in flow.transforms:
        x, _ = transform(x)
        if isinstance(transform, DiagonalAffine):
            torch.testing.assert_close(x.mean(0), torch.zeros_like(x[0]))
            torch.testing.assert_close(x.std(0, correction=0), torch.ones_like(x[0]))


def test_the_context_changes_the_density() -> None:
    """A conditional flow gives the same x another density under another context."""
    flow = RNVP(RNVPConfig(dim=2, context_dim=1))
    x = torch.randn(4, 2)
    assert not torch.allclose(
        flow.log_prob(x, torch.zeros(4, 1)), flow.log_prob(x, torch.ones(4, 1))
    )


def test_the_contexts_units_do_not_matter() -> None:
    """The context is standardised too."""
    flow = RNVP(RNVPConfig(dim=2, context_dim=1)).double()
    x, context = rows(flow, 30)
    assert context is not None
    flow.initialise(x, context)
    before = flow.log_prob(x, context)
    flow.initialise(x, context * 1000 + 5)
    torch.testing.assert_close(flow.log_prob(x, context * 1000 + 5), before)


@pytest.mark.parametrize(("takes", "given"), [(0, 1), (2, 1), (2, 0)])
def test_a_wrong_context_is_refused(takes: int, given: int) -> None:
    """The error gives the number of conditions that are expected and that were given."""
    flow = RNVP(RNVPConfig(dim=2, context_dim=takes))
    context = torch.zeros(3, given) if given else None
    with pytest.raises(ConfigError, match=f"takes {takes} context columns; {given} were given"):
        flow(torch.zeros(3, 2), context)


@pytest.mark.parametrize("context_dim", [0, 3])
@pytest.mark.parametrize("call", ["forward", "inverse", "log_prob", "initialise"])
@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (5, 0), (2,), (5,), (), (4, 5, 2)])
def test_rows_of_another_shape_are_refused(
    call: str, shape: tuple[int, ...], context_dim: int
) -> None:
    """Rows that PyTorch would broadcast, or could not use, give an error with both shapes."""
    flow = RNVP(RNVPConfig(2, context_dim, 2, (4,)))
    context = torch.randn(5, 3) if context_dim else None
    with pytest.raises(InputError, match=rf"has shape {re.escape(str(shape))}, expected \(n, 2\)"):
        getattr(flow, call)(torch.randn(shape), context)


@pytest.mark.parametrize("call", ["forward", "inverse", "log_prob", "initialise"])
@pytest.mark.parametrize("shape", [(1, 3), (4, 3), (3,), (5, 1, 3)])
def test_a_context_of_another_shape_is_refused(call: str, shape: tuple[int, ...]) -> None:
    """A context has one row for each row of x or z."""
    flow = RNVP(RNVPConfig(2, 3, 2, (4,)))
    with pytest.raises(InputError, match=r"context has (shape|\d rows)"):
        getattr(flow, call)(torch.randn(5, 2), torch.randn(shape))


def test_rows_that_are_not_a_tensor_are_refused() -> None:
    """An array or a list gives an error that says how to pass it."""
    flow = RNVP(RNVPConfig(2, 3, 2, (4,)))
    x, context = torch.randn(5, 2), torch.randn(5, 3)
    for rows, conditions in ((x.numpy(), context), (x.tolist(), context), (x, context.numpy())):
        with pytest.raises(InputError, match="expected a tensor"):
            flow.log_prob(rows, conditions)  # type: ignore[arg-type]


def test_samples_are_the_stream_through_the_inverse() -> None:
    """Sample i of a seed is the same point for any start and count."""
    flow = RNVP(RNVPConfig(dim=3)).double()
    all_rows = flow.sample(20, seed=7)
    torch.testing.assert_close(flow.sample(5, seed=7, start=12), all_rows[12:17])
    assert not torch.allclose(flow.sample(20, seed=8), all_rows)


def test_temperature_zero_is_the_mode_of_the_latent() -> None:
    """At temperature 0 every sample is inverse(0)."""
    flow = RNVP(RNVPConfig(dim=2)).double()
    middle = flow.inverse(torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(flow.sample(4, seed=1, temperature=0.0), middle.expand(4, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [-1.0, -1e-9, math.nan, math.inf, 10**400])
def test_a_temperature_is_finite_and_not_negative(temperature: float, dtype: torch.dtype) -> None:
    """Another temperature is refused with the words of the runtime."""
    flow = RNVP(RNVPConfig(2, couplings=1, hidden=(4,))).to(dtype)
    with pytest.raises(InputError, match=r"temperature is .* expected a finite number, 0 or more"):
        flow.sample(3, seed=0, temperature=temperature)


def test_columns_have_names() -> None:
    """The default names are x0, x1, … for columns and c0, c1, … for conditions."""
    flow = RNVP(RNVPConfig(dim=2, context_dim=1))
    assert (flow.columns, flow.context_columns) == (("x0", "x1"), ("c0",))
    assert RNVP(RNVPConfig(dim=2), ("carat", "price")).columns == ("carat", "price")


@pytest.mark.parametrize("columns", [("a",), ("a", "a"), ("a", "b", "c")])
def test_columns_must_be_as_many_and_different(columns: tuple[str, ...]) -> None:
    """Names that do not fit the flow are refused."""
    with pytest.raises(ConfigError, match="expected 2 different ones"):
        RNVP(RNVPConfig(dim=2), columns)


def test_no_two_columns_share_a_name() -> None:
    """Coordinates and conditions are taken from one table."""
    with pytest.raises(ConfigError, match="two columns are called 'a'"):
        RNVP(RNVPConfig(dim=2, context_dim=1), ("a", "b"), ("a",))


def test_a_column_name_is_text() -> None:
    """A manifest can only hold names that are text."""
    with pytest.raises(ConfigError, match="expected 2 different ones"):
        RNVP(RNVPConfig(dim=2), (0, 1))  # type: ignore[arg-type]
