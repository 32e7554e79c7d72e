"""The configuration of a flow: the flows that it makes, and its errors."""

from dataclasses import replace
from typing import Any

import pytest

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.errors import ConfigError
from rnvp_deploy.networks import Dense, Residual
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)


def couplings(config: RNVPConfig) -> list[CouplingSpec]:
    """The couplings of the flow, in order."""
    return [layer for layer in config.spec().transforms if isinstance(layer, CouplingSpec)]


def kinds(config: RNVPConfig) -> list[type[TransformSpec]]:
    """The kinds of the flow's transforms, in order."""
    return [type(layer) for layer in config.spec().transforms]


@pytest.mark.parametrize(("dim", "k"), [(2, 1), (3, 1), (3, 2), (7, 1), (7, 4), (7, 6)])
def test_any_split_is_possible(dim: int, k: int) -> None:
    """The first half may have any width 1 ≤ k < d, with d odd or even."""
    first, second = couplings(RNVPConfig(dim, couplings=2, split=k))
    assert first.passive == second.active == tuple(range(k))
    assert first.active == second.passive == tuple(range(k, dim))


def test_the_default_split_is_half() -> None:
    """Without ``split``, the first half has d // 2 columns."""
    assert RNVPConfig(7).half == 3


def test_standardisation_comes_first() -> None:
    """The first layer standardises, and is not trained; it can be left out."""
    standardisation = DiagonalAffineSpec(3, from_data=True, trainable=False)
    assert RNVPConfig(3).spec().transforms[0] == standardisation
    assert kinds(RNVPConfig(3, couplings=2, standardise=False)) == [CouplingSpec] * 2


@pytest.mark.parametrize(("mixing", "kind"), [("permute", PermutationSpec), ("lu", LinearSpec)])
def test_mixing_comes_before_each_coupling(mixing: str, kind: type[TransformSpec]) -> None:
    """A permutation or a linear map precedes every coupling."""
    config = RNVPConfig(4, couplings=2, mixing=mixing, standardise=False)  # type: ignore[arg-type]
    assert kinds(config) == [kind, CouplingSpec] * 2


def test_actnorm_comes_before_each_coupling() -> None:
    """An affine set from data, and trained, precedes every coupling."""
    config = RNVPConfig(4, couplings=2, actnorm=True, standardise=False)
    assert config.spec().transforms[0] == DiagonalAffineSpec(4, from_data=True)
    assert kinds(config) == [DiagonalAffineSpec, CouplingSpec] * 2


def test_permutations_come_from_the_seed() -> None:
    """The same seed gives the same permutations, and another seed gives others."""
    one, same, other = (RNVPConfig(9, mixing="permute", seed=s).spec() for s in (1, 1, 2))
    assert one == same != other


def test_networks_are_joint_or_separate() -> None:
    """A coupling has one network for σ and μ, or one for each."""
    joint, separate = couplings(RNVPConfig(4))[0], couplings(RNVPConfig(4, joint=False))[0]
    assert [name for name, _ in joint.networks] == ["joint"]
    assert [name for name, _ in separate.networks] == ["sig", "mu"]


def test_one_dimension_needs_a_context() -> None:
    """With a context a coupling can move the only coordinate; without one it reads nothing."""
    assert couplings(RNVPConfig(1, context_dim=2))[0].active == (0,)
    with pytest.raises(ConfigError, match="at least 2 dimensions"):
        RNVPConfig(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"context_dim": -1}, "context_dim is -1"),
        ({"split": 0}, "split is 0"),
        ({"split": 4}, r"1 … dim − 1 = 3"),
        ({"couplings": 0}, "couplings is 0"),
        ({"couplings": -3}, "couplings is -3"),
        ({"hidden": (-1,)}, r"hidden is \(-1,\)"),
        ({"scale": "tanh"}, "scale is 'tanh'"),
        ({"residual": True, "hidden": (8, 9)}, "equal widths"),
        ({"residual": True, "hidden": ()}, "equal widths"),
        ({"mixing": "shuffle"}, "swap, permute or lu"),
        ({"hidden": (0,)}, "hidden"),
        ({"activation": "rleu"}, "'rleu' is not an activation"),
    ],
)
def test_an_impossible_flow_is_refused(options: dict[str, object], message: str) -> None:
    """The error is raised when the flow is described, and says what was found."""
    with pytest.raises(ConfigError, match=message):
        RNVPConfig(**{"dim": 4, **options})  # type: ignore[arg-type]


FLOW = RNVPConfig(4, couplings=1, hidden=(8,)).spec()
COUPLING = FLOW.transforms[1]
assert isinstance(COUPLING, CouplingSpec)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ((), "at least one transform"),
        ((DiagonalAffineSpec(5),), "transform 0: it is of 5 coordinates; the flow has 4"),
        ((COUPLING, PermutationSpec((1, 0))), "transform 1: it is of 2 coordinates"),
        ((replace(COUPLING, context_dim=3),), "it reads 3 conditions; the flow has 0"),
        ((replace(COUPLING, networks=(("joint", (Dense(2, 3),)),)),), "has 3 outputs; expected 4"),
        (
            (replace(COUPLING, networks=(("mu", (Dense(3, 2),)),)),),
            "is given 2 numbers; expected 3",
        ),
        ((replace(COUPLING, networks=(("mu", (Dense(2, -1),)),)),), "at least 1"),
        ((replace(COUPLING, networks=(("mu", (Residual((Dense(2, 3),), 2),)),)),), "has a body"),
        (
            (replace(COUPLING, networks=(("mu", (Residual((), 2, 7),)),)),),
            "gate takes 7 conditions",
        ),
        ((RNVPConfig(4),), "not the description of a transform"),
    ],
)
def test_transforms_that_do_not_fit_are_refused(transforms: Any, message: str) -> None:
    """The error names the transform, what was found and what was expected."""
    with pytest.raises(ConfigError, match=message):
        FlowSpec(4, transforms=transforms)


def test_a_flow_is_its_list_of_transforms() -> None:
    """A recipe and its transforms make the same flow."""
    recipe = RNVPConfig(3, context_dim=2, mixing="lu", actnorm=True)
    assert RNVP(recipe).spec == RNVP(recipe.spec()).spec == recipe.spec()
