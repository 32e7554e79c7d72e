"""Each rewrite keeps the function of a flow and simplifies its transforms.

The flows are random compositions of every kind of transform, in float64.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnvp_deploy import RNVP, RNVPConfig, ir
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import Activation, mlp
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)
from rnvp_exporters.lowering import ABSORB, ALL, FOLD, RAW_CONTEXT, RENAME, Rewrite, lower, rewrite
from rnvp_exporters.lowering import SCALES as FOLD_SCALES
from rnvp_exporters.lowering.rewrites import FARTHEST_FOLD
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
    networks = draw(
        st.sampled_from(
            ((("sig", net), ("mu", net)), (("joint", joint),), (("mu", net),), (("sig", net),))
        )
    )
    return CouplingSpec(
        order[:k],
        order[k:],
        networks,
        Affine(draw(st.sampled_from(list(SCALES.values())))),
        inverted=draw(st.booleans()) if inverted is None else inverted,
        context_dim=context,
    )


TRANSFORMS: st.SearchStrategy[TransformSpec] = st.one_of(
    couplings(),
    st.just(DiagonalAffineSpec(DIM)),
    ORDERS.map(PermutationSpec),
    st.just(LinearSpec(DIM)),
)


@st.composite
def flows(draw: st.DrawFn, transforms: st.SearchStrategy[TransformSpec] = TRANSFORMS) -> ir.Flow:
    """A flow of two to eight transforms, the last of them a coupling."""
    layers = draw(st.lists(transforms, min_size=1, max_size=7))
    spec = FlowSpec(DIM, CONTEXT, (*layers, draw(couplings())), standardise_context=True)
    return ir.read(lively(spec, seed=draw(st.integers(0, 99)), spread=0.3))


def same_function(before: ir.Flow, after: ir.Flow) -> None:
    """Check that two flows give the same z and log_det."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(9, DIM, generator=draw, dtype=torch.float64)
    context = torch.randn(9, CONTEXT, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        for got, want in zip(
            ir.build(after)(x, context), ir.build(before)(x, context), strict=True
        ):
            torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)


def kinds(flow: ir.Flow) -> list[type]:
    """The classes of the transforms, in order."""
    return [type(transform) for transform in flow.transforms]


def without_last(flow: ir.Flow) -> ir.Flow:
    """The flow without its last transform."""
    return replace(flow, transforms=flow.transforms[:-1])


@given(flows())
def test_raw_context_keeps_the_function_and_leaves_no_standardisation(flow: ir.Flow) -> None:
    """The weights that read the context standardise it."""
    after = rewrite(flow, [RAW_CONTEXT])
    assert after.context_scaling is None
    same_function(flow, after)


@given(flows())
def test_scales_keeps_the_function(flow: ir.Flow) -> None:
    """Shifts and gains inside scale functions move into the layer before them."""
    same_function(flow, rewrite(flow, [FOLD_SCALES]))


@given(flows())
def test_rename_keeps_the_function_and_leaves_at_most_one_permutation_at_the_end(
    flow: ir.Flow,
) -> None:
    """A permutation only renames coordinates."""
    after = rewrite(flow, [RENAME])
    assert ir.Permutation not in kinds(after)[:-1]
    same_function(flow, after)


@given(flows())
def test_fold_keeps_the_function(flow: ir.Flow) -> None:
    """Affines move through couplings into the weights."""
    same_function(flow, rewrite(flow, [FOLD]))


def far(transform: ir.Transform) -> bool:
    """Whether a transform is an affine whose shift is too large to fold."""
    return isinstance(transform, ir.DiagonalAffine) and bool(
        (abs(transform.loc) > FARTHEST_FOLD * transform.scale).any()
    )


@given(flows(st.one_of(couplings(inverted=False), st.just(DiagonalAffineSpec(DIM)))))
def test_fold_leaves_affines_between_couplings_only_where_they_are_far(flow: ir.Flow) -> None:
    """Affines merge and move to the front of couplings, unless their shift is many scales."""
    before = without_last(flow)
    after = rewrite(before, [FOLD])
    assert all(far(transform) for transform in after.transforms[1:] if not_coupling(transform))
    same_function(before, after)


@given(flows(st.one_of(couplings(inverted=True), st.just(DiagonalAffineSpec(DIM)))))
def test_fold_moves_affines_to_the_end_of_inverted_couplings(flow: ir.Flow) -> None:
    """An inverted coupling subtracts μ first, so an affine moves through it to the end."""
    before = without_last(flow)
    after = rewrite(before, [FOLD])
    assert all(far(transform) for transform in after.transforms[:-1] if not_coupling(transform))
    same_function(before, after)


def not_coupling(transform: ir.Transform) -> bool:
    """Whether a transform is not a coupling."""
    return not isinstance(transform, ir.Coupling)


@given(flows())
def test_absorb_leaves_no_linear_affine_or_permutation_after_a_linear(flow: ir.Flow) -> None:
    """A linear map, an affine or a permutation after a dense matrix becomes part of it."""
    after = rewrite(flow, [ABSORB])
    for first, second in itertools.pairwise(kinds(after)):
        assert first is not ir.Linear or second is ir.Coupling
    same_function(flow, after)


@given(flows(), st.permutations((FOLD_SCALES, RENAME, FOLD, ABSORB)), st.integers(0, 4))
def test_rewrites_keep_the_function_in_any_order_and_number(
    flow: ir.Flow, order: list[Rewrite], number: int
) -> None:
    """Each rewrite is correct alone; the order only changes which transforms remain."""
    after = flow
    for step in order[:number]:
        after = step.apply(after)
    same_function(flow, after)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_rewritten_flow_is_the_flow(name: str) -> None:
    """All rewrites together keep the function of each configuration."""
    flow = lively(CONFIGS[name])
    x, context = some_data(flow), some_context(flow, 64)
    with torch.no_grad():
        for got, want in zip(
            ir.build(rewrite(ir.read(flow)))(x, context), flow(x, context), strict=True
        ):
            torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


def test_lowering_does_not_change_the_flow() -> None:
    """The flow can be trained further after it was exported."""
    flow = lively(CONFIGS["actnorm"])
    before = {name: tensor.clone() for name, tensor in flow.state_dict().items()}
    lower(flow)
    assert all(torch.equal(tensor, before[name]) for name, tensor in flow.state_dict().items())


def test_an_affine_far_from_its_origin_stays_where_it_is() -> None:
    """Folding a shift of many scales would lose the last bits of the state."""
    flow = lively(RNVPConfig(dim=2, couplings=1, hidden=(4,), mixing="lu"))
    with torch.no_grad():
        flow.transforms[0].loc.fill_(1e6)
    rewritten = rewrite(ir.read(flow))
    assert kinds(rewritten) == [ir.DiagonalAffine, ir.Linear, ir.Coupling]


def test_a_rewrite_that_undoes_another_is_stopped() -> None:
    """A property that a rewrite ensures must hold after every later rewrite."""
    flow = ir.read(lively(CONFIGS["permuted"]))
    undo = Rewrite(
        "undo",
        lambda changed: replace(
            changed, transforms=(ir.Permutation((1, 0, 2, 3, 4, 5)), *changed.transforms)
        ),
        ensures=lambda _: True,
    )
    with pytest.raises(AssertionError, match="undo undid what rename ensures"):
        rewrite(flow, [RENAME, undo])


def test_the_arrays_of_a_value_cannot_be_written() -> None:
    """Every emitter shares the lowered flow, so its arrays are read-only."""
    dense = ir.Dense(np.ones((1, 1)), np.zeros(1))
    with pytest.raises(ValueError, match="read-only"):
        dense.weight[0, 0] = 2.0


@pytest.mark.parametrize("left_out", ALL[1:], ids=lambda step: step.name)
def test_a_graph_without_one_rewrite_is_the_same_function(left_out: Rewrite) -> None:
    """A benchmark can leave out any rewrite but the first, which a standardised context needs."""
    from rnvp_exporters.graphs.modules import Density
    from rnvp_exporters.graphs.operators import PLAIN

    config = RNVPConfig(dim=4, mixing="permute", actnorm=True, hidden=(8,), couplings=3)
    flow: RNVP = lively(config)
    lowered = lower(flow, [step for step in ALL if step is not left_out])
    x = some_data(flow)
    with torch.no_grad():
        log_prob, z = Density(lowered, PLAIN, torch.float64)(x)
        want_z, log_pz, log_jacob = flow(x)
    torch.testing.assert_close(z, want_z, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_prob, log_pz + log_jacob, rtol=1e-9, atol=1e-9)
