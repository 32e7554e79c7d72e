"""Descriptions are converted to plain containers and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnvp_deploy import RNVPConfig, scales
from rnvp_deploy.errors import CheckpointError
from rnvp_deploy.mapped_columns import ColumnMap
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import Activation, Dense, Norm, Rescale, Residual
from rnvp_deploy.plain import from_plain, to_plain
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    ElementwiseSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)
from tests.flows import MAPS, SCALES

numbers = st.floats(allow_nan=False, allow_infinity=False)
widths = st.integers(1, 99)
steps = st.recursive(
    st.builds(Dense, widths, widths)
    | st.builds(Activation, st.sampled_from(["relu", "elu"]), numbers)
    | st.builds(Norm, widths, numbers, st.integers(0, 1))
    | st.builds(Rescale, widths),
    lambda inner: st.builds(Residual, st.lists(inner, max_size=3).map(tuple), widths, widths),
    max_leaves=6,
)
networks = st.lists(steps, min_size=1, max_size=4).map(tuple)
positive = st.floats(1e-3, 1e3)
simple_scales = st.builds(scales.Tanh, positive, positive) | st.sampled_from(list(SCALES.values()))
any_scale = simple_scales | st.builds(scales.Centred, simple_scales)
layers = st.one_of(
    st.builds(
        CouplingSpec,
        st.just((1, 0)),
        st.just((2,)),
        st.tuples(st.tuples(st.just("sig"), networks), st.tuples(st.just("mu"), networks)),
        st.builds(Affine, any_scale),
        inverted=st.booleans(),
        context_dim=st.integers(0, 3),
    ),
    st.builds(
        CouplingSpec,
        st.just((2,)),
        st.just((0, 1)),
        st.tuples(st.tuples(st.just("joint"), networks)),
        st.sampled_from(list(MAPS.values())),
    ),
    st.builds(DiagonalAffineSpec, widths, st.booleans(), st.booleans()),
    st.permutations(range(4)).map(lambda order: PermutationSpec(tuple(order))),
    st.builds(LinearSpec, widths, st.booleans()),
    st.lists(
        st.builds(
            ColumnMap,
            st.sampled_from(("identity", "log")),
            st.integers(-9, 9),
            integer=st.booleans(),
        ),
        max_size=4,
    ).map(lambda columns: ElementwiseSpec(tuple(columns))),
)


@given(spec=layers)
def test_from_plain_undoes_to_plain(spec: TransformSpec) -> None:
    """A description is equal after a conversion to plain containers, and after JSON."""
    plain = to_plain(spec)
    assert from_plain(plain) == spec
    assert from_plain(json.loads(json.dumps(plain))) == spec


def test_a_whole_flow_survives() -> None:
    """The description of a flow is equal after JSON."""
    spec = RNVPConfig(3, context_dim=2, mixing="lu").spec()
    assert from_plain(json.loads(json.dumps(to_plain(spec)))) == spec


@pytest.mark.parametrize("kind", ["Popen", "Network", "object", None])
def test_only_known_descriptions_are_made(kind: Any) -> None:
    """A kind that is not on the list is refused by name."""
    with pytest.raises(CheckpointError, match=f"describes a {kind!r}"):
        from_plain({"kind": kind})


def test_other_fields_are_refused() -> None:
    """A known kind with unknown fields is refused."""
    with pytest.raises(CheckpointError, match="Dense is damaged"):
        from_plain({"kind": "Dense", "inputs": 1, "width": 2})
