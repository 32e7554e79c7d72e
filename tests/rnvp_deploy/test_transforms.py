"""Every transform is a bijection, and its log_det agrees with autodiff.

One dictionary holds every kind; a kind that is added to it is tested.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnvp_deploy import scales
from rnvp_deploy.errors import ConfigError
from rnvp_deploy.mapped_columns import ColumnMap
from rnvp_deploy.maps import Affine, ElementwiseMap
from rnvp_deploy.networks import Activation, Dense, Norm, Residual, Steps, mlp
from rnvp_deploy.scales import Scale, Tanh
from rnvp_deploy.transforms import (
    Coupling,
    CouplingSpec,
    DiagonalAffine,
    DiagonalAffineSpec,
    Elementwise,
    ElementwiseSpec,
    LinearSpec,
    PermutationSpec,
    Transform,
    TransformSpec,
    build,
)
from tests.flows import MAPS, perturb

D, C, N = 5, 2, 6
SILU = Activation("silu")


def net(inputs: int, outputs: int) -> Steps:
    """A small network with dense layers, a norm and a residual block."""
    body: Steps = (SILU, Dense(8, 8))
    return (Dense(inputs, 8), Norm(8), Residual(body, 8, C if inputs > D else 0), Dense(8, outputs))


def coupling(
    passive: tuple[int, ...],
    *,
    context: int = 0,
    scale: Scale | None = None,
    inverted: bool = False,
) -> CouplingSpec:
    """A coupling with two plain networks."""
    active = tuple(i for i in range(D) if i not in passive)
    steps = mlp(len(passive) + context, (8,), len(active), SILU)
    networks = (("sig", steps), ("mu", steps))
    return CouplingSpec(
        passive, active, networks, Affine(scale or Tanh()), inverted=inverted, context_dim=context
    )


def mapped(elementwise: ElementwiseMap, inverted: bool, joint: bool) -> CouplingSpec:
    """A coupling with an elementwise map, with a network for each parameter or one for all."""
    outputs = {name: 3 * size for name, size in elementwise.parameters.items()}
    if joint:
        outputs = {"joint": sum(outputs.values())}
    networks = tuple((name, net(2, width)) for name, width in outputs.items())
    return CouplingSpec((0, 1), (2, 3, 4), networks, elementwise, inverted)


COLUMN_MAPS = {
    "identity": ColumnMap(),
    "log": ColumnMap("log"),
    "log from a bound": ColumnMap("log", -5.0),
    "logit": ColumnMap("logit"),
    "logit in bounds": ColumnMap("logit", -2.0, 40.0),
    "integer": ColumnMap(integer=True),
    "log of an integer": ColumnMap("log", integer=True),
    "logit of an integer": ColumnMap("logit", -3, 12, integer=True),
}
SCALES = [scale for kind in scales.SCALES.values() for scale in kind.examples()]
TRANSFORMS: dict[str, TransformSpec] = {
    "coupling, joint": CouplingSpec((0, 1), (2, 3, 4), (("joint", net(2, 6)),)),
    "coupling, no μ": CouplingSpec((0, 1), (2, 3, 4), (("sig", net(2, 3)),)),
    "coupling, no σ": CouplingSpec((0, 1), (2, 3, 4), (("mu", net(2, 3)),)),
    "coupling, neither": CouplingSpec((0, 1), (2, 3, 4)),
    "coupling, scattered": coupling((3, 0, 4)),
    "coupling, context only": coupling((), context=C),
    "diagonal affine": DiagonalAffineSpec(D),
    "standardisation": DiagonalAffineSpec(D, from_data=True, trainable=False),
    **{
        f"elementwise, {name}": ElementwiseSpec((column,) * D)
        for name, column in COLUMN_MAPS.items()
    },
    "elementwise, mixed": ElementwiseSpec(tuple(COLUMN_MAPS.values())[:D]),
    "permutation": PermutationSpec((3, 0, 4, 1, 2)),
    "linear, lu": LinearSpec(D),
    "linear, dense": LinearSpec(D, lu=False),
    **{
        f"coupling, {name}{', inverted' * inverted}{', joint' * joint}": mapped(
            elementwise, inverted, joint
        )
        for name, elementwise in MAPS.items()
        for inverted in (False, True)
        for joint in (False, True)
    },
    **{f"coupling, k = {k}": coupling(tuple(range(k))) for k in range(1, D)},
    **{
        f"coupling, {scale}{', inverted' * inverted}{', context' * bool(context)}": coupling(
            (0, 1), context=context, scale=scale, inverted=inverted
        )
        for scale, inverted, context in itertools.product(SCALES, (False, True), (0, C))
    },
}

ANYWHERE = sorted(name for name in TRANSFORMS if not name.startswith("elementwise"))
FIRST = sorted(set(TRANSFORMS) - set(ANYWHERE))

each = pytest.mark.parametrize("name", TRANSFORMS)


def lively(spec: TransformSpec, seed: int = 0) -> Transform:
    """The transform in float64, with weights that differ from their initial values."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transform = build(spec).double()
    perturb(transform.state_dict().values(), 0.3, torch.Generator().manual_seed(seed))
    return transform


def rows(seed: int, context: bool) -> tuple[Tensor, Tensor | None]:
    """x (N, D) and context (N, C) or None, in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N, D, generator=generator, dtype=torch.float64)
    c = torch.randn(N, C, generator=generator, dtype=torch.float64)
    return x, c if context else None


def in_domain(transform: Transform, x: Tensor, context: Tensor | None) -> Tensor:
    """``x``, or its inverse for a map with a domain, so that every row has a density."""
    return transform.inverse(x, context) if isinstance(transform, Elementwise) else x


def wants_context(spec: TransformSpec) -> bool:
    """Whether the transform reads the context."""
    return isinstance(spec, CouplingSpec) and spec.context_dim > 0


def autodiff_log_det(transform: Transform, x: Tensor, context: Tensor | None) -> Tensor:
    """log |det dz/dx| row by row, from the whole Jacobian."""
    values = []
    for i in range(len(x)):
        c = None if context is None else context[i : i + 1]
        jacobian = torch.func.jacrev(lambda row, c=c: transform(row[None], c)[0][0])(x[i])
        values.append(torch.linalg.slogdet(jacobian).logabsdet)
    return torch.stack(values)


@each
@settings(max_examples=5)
@given(seed=st.integers(0, 2**31))
def test_inverse_undoes_forward(name: str, seed: int) -> None:
    """inverse ∘ forward and forward ∘ inverse are the identity."""
    spec = TRANSFORMS[name]
    transform = lively(spec, seed)
    x, context = rows(seed, wants_context(spec))
    with torch.no_grad():
        x = in_domain(transform, x, context)
        z, _ = transform(x, context)
        torch.testing.assert_close(transform.inverse(z, context), x)
        torch.testing.assert_close(transform(transform.inverse(z, context), context)[0], z)


@each
@settings(max_examples=2)
@given(seed=st.integers(0, 2**31))
def test_log_det_agrees_with_autodiff(name: str, seed: int) -> None:
    """log_det is the log-determinant of the Jacobian that autodiff finds."""
    spec = TRANSFORMS[name]
    transform = lively(spec, seed).requires_grad_(False)
    x, context = rows(seed, wants_context(spec))
    x = in_domain(transform, x, context)
    _, log_det = transform(x, context)
    assert log_det.shape == (N,)
    torch.testing.assert_close(log_det, autodiff_log_det(transform, x, context))


@settings(max_examples=15)
@given(
    first=st.sampled_from(FIRST),
    names=st.lists(st.sampled_from(ANYWHERE), min_size=2, max_size=6),
    seed=st.integers(0, 2**31),
)
def test_compositions_invert_and_add_their_log_dets(
    first: str, names: list[str], seed: int
) -> None:
    """Any stack of transforms inverts in reverse, and its log-det is the sum."""
    stack = [
        lively(TRANSFORMS[name], seed + i).requires_grad_(False)
        for i, name in enumerate((first, *names))
    ]
    x, context = rows(seed, True)
    x = in_domain(stack[0], x, context)

    def through(row: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
        total = torch.zeros(len(row), dtype=row.dtype)
        for transform in stack:
            row, log_det = transform(row, c)
            total = total + log_det
        return row, total

    z, log_det = through(x, context)
    assert context is not None
    expected = torch.stack(
        [
            torch.linalg.slogdet(
                torch.func.jacrev(lambda row, c=c: through(row[None], c[None])[0][0])(row)
            ).logabsdet
            for row, c in zip(x, context, strict=True)
        ]
    )
    torch.testing.assert_close(log_det, expected, rtol=1e-6, atol=1e-6)
    for transform in reversed(stack):
        z = transform.inverse(z, context)
    torch.testing.assert_close(z, x, rtol=1e-6, atol=1e-6)


@each
def test_an_empty_batch_is_transformed(name: str) -> None:
    """Zero rows give zero rows in both directions."""
    spec = TRANSFORMS[name]
    transform = build(spec).double()
    x, context = rows(0, wants_context(spec))
    context = None if context is None else context[:0]
    z, log_det = transform(x[:0], context)
    assert z.shape == (0, D) == transform.inverse(z, context).shape
    assert log_det.shape == (0,)


def test_a_coupling_follows_the_paper() -> None:
    """z_a = a, z_b = b ⊙ exp(σ(a)) + μ(a), and log_det = Σσ."""
    transform = lively(coupling((3, 0), scale=scales.Exp()))
    assert isinstance(transform, Coupling)
    sig_net, mu_net = transform.network("sig"), transform.network("mu")
    assert sig_net is not None
    assert mu_net is not None
    x, _ = rows(1, False)
    z, log_det = transform(x)
    a, b = x[:, [3, 0]], x[:, [1, 2, 4]]
    sigma = sig_net(a)
    torch.testing.assert_close(z[:, [3, 0]], a)
    torch.testing.assert_close(z[:, [1, 2, 4]], b * torch.exp(sigma) + mu_net(a))
    torch.testing.assert_close(log_det, sigma.sum(-1))


def test_inverted_swaps_the_directions() -> None:
    """An inverted coupling's forward is the plain one's inverse, with the same weights."""
    plain, inverted = lively(coupling((0, 1))), lively(coupling((0, 1), inverted=True))
    x, _ = rows(2, False)
    torch.testing.assert_close(inverted(x)[0], plain.inverse(x))


def test_a_permutation_says_where_each_coordinate_comes_from() -> None:
    """A permutation computes z[:, i] = x[:, order[i]]."""
    z, _ = build(PermutationSpec((2, 0, 1)))(torch.tensor([[10.0, 11.0, 12.0]]))
    assert z.tolist() == [[12.0, 10.0, 11.0]]


def test_initialise_standardises() -> None:
    """A diagonal affine that is set from data gives mean 0 and standard deviation 1."""
    transform = build(DiagonalAffineSpec(2, from_data=True)).double()
    x = torch.randn(400, 2, dtype=torch.float64) * torch.tensor([3.0, 0.01]) + 7.0
    transform.initialise(x)
    z, _ = transform(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(2, dtype=torch.float64))


def test_initialise_does_not_change_other_affines() -> None:
    """Without ``from_data`` nothing is set."""
    transform = build(DiagonalAffineSpec(2))
    assert isinstance(transform, DiagonalAffine)
    transform.initialise(torch.randn(9, 2) * 5)
    assert not transform.loc.any()


def test_standardisation_is_not_trained() -> None:
    """An affine that is not trainable has buffers, no parameters."""
    transform = build(DiagonalAffineSpec(2, trainable=False))
    assert not list(transform.parameters())
    assert set(transform.state_dict()) == {"loc", "log_scale"}


@pytest.mark.parametrize(
    ("passive", "active"), [((0, 1), (1, 2)), ((0, 1), (3,)), ((0, 1), ()), ((), ())]
)
def test_a_coupling_must_split_the_coordinates(
    passive: tuple[int, ...], active: tuple[int, ...]
) -> None:
    """Halves that overlap, leave one out, or move nothing are refused."""
    with pytest.raises(ConfigError, match="each once"):
        CouplingSpec(passive, active)


def test_a_coupling_must_read_something() -> None:
    """A coupling needs a passive coordinate or a context as the input of its networks."""
    with pytest.raises(ConfigError, match="read something"):
        CouplingSpec((), (0, 1))


def test_a_coupling_has_one_kind_of_network() -> None:
    """A coupling cannot have both a joint network and separate networks."""
    with pytest.raises(ConfigError, match="not both"):
        CouplingSpec((0,), (1,), (("sig", net(1, 1)), ("joint", net(1, 2))))


def test_an_order_that_is_not_a_permutation_is_refused() -> None:
    """A permutation has every coordinate exactly once."""
    with pytest.raises(ConfigError, match="not a permutation"):
        PermutationSpec((0, 0, 1))
