"""Each rewrite leaves the function as it was, and does away with what it is there to do away with.

The flows are random compositions of every kind of transform, in float64.
"""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.networks import Activation, mlp
from rnvp_deploy.transforms import (
    Coupling,
    CouplingSpec,
    DiagonalAffine,
    DiagonalAffineSpec,
    Linear,
    LinearSpec,
    Permutation,
    PermutationSpec,
    Transform,
    TransformSpec,
)
from rnvp_exporters.lowering import FARTHEST_FOLD, absorb, dense, fold, lower, rename
from tests.flows import CONFIGS, SCALES, lively, some_context, some_data

DIM, CONTEXT = 4, 2
ORDERS = st.permutations(range(DIM)).map(tuple)


@st.composite
def couplings(draw: st.DrawFn, inverted: bool | None = None) -> CouplingSpec:
    """A coupling with any index sets, networks and scale."""
    order, k = draw(ORDERS), draw(st.integers(1, DIM - 1))
    context = draw(st.sampled_from((0, CONTEXT)))
    net = mlp(k + context, (6,), DIM - k, Activation("tanh"))
    joint = mlp(k + context, (6,), 2 * (DIM - k), Activation("tanh"))
    nets = draw(
        st.sampled_from(
            (
                {"sig_net": net, "mu_net": net},
                {"joint_net": joint},
                {"mu_net": net},
                {"sig_net": net},
            )
        )
    )
    return CouplingSpec(
        order[:k],
        order[k:],
        scale=draw(st.sampled_from(list(SCALES.values()))),
        inverted=draw(st.booleans()) if inverted is None else inverted,
        context_dim=context,
        **nets,
    )


TRANSFORMS: st.SearchStrategy[TransformSpec] = st.one_of(
    couplings(),
    st.just(DiagonalAffineSpec(DIM)),
    ORDERS.map(PermutationSpec),
    st.just(LinearSpec(DIM)),
)


@st.composite
def flows(draw: st.DrawFn, transforms: st.SearchStrategy[TransformSpec] = TRANSFORMS) -> RNVP:
    """A flow of one to seven transforms."""
    layers = draw(st.lists(transforms, min_size=1, max_size=7))
    config = RNVPConfig(dim=DIM, context_dim=CONTEXT, layers=(*layers, draw(couplings())))
    return lively(config, seed=draw(st.integers(0, 99)), spread=0.3)


def through(
    transforms: list[Transform], x: Tensor, context: Tensor | None
) -> tuple[Tensor, Tensor]:
    """z and log_det of a list of transforms."""
    total = x.new_zeros(len(x))
    for transform in transforms:
        x, log_det = transform(x, context)
        total = total + log_det
    return x, total


def same_function(before: list[Transform], after: list[Transform]) -> None:
    """Hold two lists of transforms to the same z and log_det."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(9, DIM, generator=draw, dtype=torch.float64)
    context = torch.randn(9, CONTEXT, generator=draw, dtype=torch.float64)
    for got, want in zip(through(after, x, context), through(before, x, context), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)


def kinds(transforms: list[Transform]) -> list[type]:
    """The classes of the transforms, in order."""
    return [type(transform) for transform in transforms]


def affines(transforms: list[Transform]) -> list[DiagonalAffine]:
    """The diagonal affines among the transforms."""
    return [transform for transform in transforms if isinstance(transform, DiagonalAffine)]


def is_far(affine: DiagonalAffine) -> bool:
    """Whether folding the shift would cost precision, so that the affine must stay."""
    return bool((affine.loc.abs() > FARTHEST_FOLD * affine.log_scale.exp()).any())


def taken_apart(flow: RNVP) -> list[Transform]:
    """The transforms of a flow, as the rewrites take them."""
    return [dense(transform) for transform in flow.transforms]


@given(flows())
def test_rename_changes_no_number_and_leaves_at_most_one_permutation_at_the_end(flow: RNVP) -> None:
    """A permutation only renames coordinates."""
    before = taken_apart(flow)
    after = rename(before)
    assert Permutation not in kinds(after)[:-1]
    same_function(before, after)


@given(flows())
def test_fold_changes_no_number(flow: RNVP) -> None:
    """Affines move through couplings into the weights."""
    before = taken_apart(flow)
    same_function(before, fold(before))


@given(flows(st.one_of(couplings(inverted=False), st.just(DiagonalAffineSpec(DIM)))))
def test_fold_moves_affines_to_the_front_of_couplings(flow: RNVP) -> None:
    """An affine that is left behind a coupling is far from its origin."""
    before = taken_apart(flow)
    last = before.pop()
    after = fold(before)
    assert all(is_far(affine) for affine in affines(after[1:]))
    same_function([*before, last], [*after, last])


@given(flows(st.one_of(couplings(inverted=True), st.just(DiagonalAffineSpec(DIM)))))
def test_fold_moves_affines_to_the_end_of_inverted_couplings(flow: RNVP) -> None:
    """An affine that is left before an inverted coupling is far from its origin."""
    before = taken_apart(flow)[:-1]
    after = fold(before)
    assert all(is_far(affine) for affine in affines(after[:-1]))
    same_function(before, after)


@given(st.booleans(), st.data())
def test_fold_leaves_one_affine_where_there_are_no_shifts(
    inverted: bool, data: st.DataObject
) -> None:
    """Scales alone always fold: to the front of couplings, to the end of inverted ones."""
    parts = st.one_of(couplings(inverted=inverted), st.just(DiagonalAffineSpec(DIM)))
    before = taken_apart(data.draw(flows(parts)))[:-1]
    for affine in affines(before):
        affine.loc.zero_()
    after = fold(before)
    assert not affines(after[:-1] if inverted else after[1:])
    same_function(before, after)


@given(flows())
def test_absorb_leaves_a_linear_no_linear_affine_or_permutation_behind_it(flow: RNVP) -> None:
    """What stands beside a dense matrix becomes part of it."""
    before = taken_apart(flow)
    after = absorb(before)
    for first, second in itertools.pairwise(kinds(after)):
        assert first is not Linear or second is Coupling
    same_function(before, after)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_lowered_flow_is_the_flow(name: str) -> None:
    """All rewrites together, raw context and all, on each configuration."""
    flow = lively(CONFIGS[name])
    x, context = some_data(flow), some_context(flow, 64)
    z, _, log_jacob = flow(x, context)
    got_z, got_log_det = through(lower(flow), x, context)
    torch.testing.assert_close(got_z, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got_log_det, log_jacob, rtol=1e-10, atol=1e-10)


def test_lowering_leaves_the_flow_alone() -> None:
    """The flow can be trained on after it was exported."""
    flow = lively(CONFIGS["actnorm"])
    before = {name: tensor.clone() for name, tensor in flow.state_dict().items()}
    lower(flow)
    assert all(torch.equal(tensor, before[name]) for name, tensor in flow.state_dict().items())


def test_an_affine_far_from_its_origin_stays_where_it_is() -> None:
    """Folding a shift of many scales would cost the state its last bits."""
    config = RNVPConfig(dim=2, couplings=1, hidden=(4,), mixing="lu")
    flow = lively(config)
    with torch.no_grad():
        flow.transforms[0].loc.fill_(1e6)
    assert kinds(lower(flow)) == [DiagonalAffine, Linear, Coupling]
