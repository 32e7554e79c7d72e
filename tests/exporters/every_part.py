"""Flows that hold every part there is: few graphs then hold every operator of an export."""

from collections.abc import Sequence
from itertools import cycle, islice

import torch

from rnvp_deploy import RNVP, ColumnMap
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import (
    ACTIVATIONS,
    Activation,
    Dense,
    Norm,
    Rescale,
    Residual,
    Steps,
    mlp,
)
from rnvp_deploy.scales import Centred
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    ElementwiseSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)
from tests.flows import MAPS, SCALES, perturb

__all__ = ["flows_of_every_part"]

HALVES = ((0, 1), (2, 3, 4))
CONTEXT = 2
PARTS = 4  # flows with the coordinates in two tensors
COLUMNS = (ColumnMap(), ColumnMap("log"), ColumnMap("logit", -2.0, 3.0), ColumnMap("logit"),
           ColumnMap("log", -1.0))  # fmt: skip
INTEGERS = (ColumnMap(integer=True), ColumnMap("log", integer=True), *COLUMNS[2:])


def flows_of_every_part() -> dict[str, RNVP]:
    """Flows that together hold every scale function, activation, layer and column map.

    The couplings are shared among several flows with the coordinates in two tensors; one more flow
    keeps them in one tensor, and one has columns of integers and no context.
    """
    maps = [*map(Affine, SCALES.values()), *MAPS.values()]
    names = list(ACTIVATIONS)
    pairs = list(islice(zip(cycle(names), cycle(maps), strict=False), max(len(names), len(maps))))
    couplings = [_coupling(i, *pair) for i, pair in enumerate(pairs)]
    masked = [
        _coupling(i, "tanh", elementwise)
        for i, elementwise in enumerate(maps)
        if not elementwise.scale.zero_at_zero or isinstance(elementwise.scale, Centred)
    ]
    columns, affine = ElementwiseSpec(COLUMNS), DiagonalAffineSpec(5)
    mixed: list[TransformSpec] = []
    for coupling in masked:
        mixed += [PermutationSpec((3, 0, 4, 1, 2)), coupling, affine]
    return {
        **{f"apart {k}": _lively([affine, *couplings[k::PARTS], affine]) for k in range(PARTS)},
        "together": _lively([columns, LinearSpec(5), *mixed]),
        "integers": _lively([ElementwiseSpec(INTEGERS), *_plain_couplings()], context_dim=0),
    }


def _plain_couplings() -> tuple[CouplingSpec, ...]:
    first, second = HALVES
    both = (("joint", mlp(2, (4,), 6, Activation("tanh"))),)
    shift = (("mu", mlp(3, (4,), 2, Activation("tanh"))),)
    return CouplingSpec(first, second, both), CouplingSpec(second, first, shift)


def _coupling(i: int, activation: str, elementwise: Affine) -> CouplingSpec:
    passive, active = HALVES[:: 1 if i % 2 == 0 else -1]
    inputs = len(passive) + CONTEXT
    names = ["joint"] if i % 4 < 2 else list(elementwise.parameters)
    width = len(active) * (len(elementwise.parameters) if names == ["joint"] else 1)
    networks = tuple((name, _network(activation, inputs, width)) for name in names)
    return CouplingSpec(passive, active, networks, elementwise, i % 3 == 0, CONTEXT)


def _network(activation: str, inputs: int, outputs: int) -> Steps:
    act = Activation(activation, 0.5)
    block = Residual((act, Dense(6, 6)), 6, gate_inputs=CONTEXT)
    return (Dense(inputs, 6), act, Norm(6), Rescale(6), block, Dense(6, outputs))


def _lively(transforms: Sequence[TransformSpec], context_dim: int = CONTEXT) -> RNVP:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = RNVP(FlowSpec(5, context_dim, tuple(transforms))).double()
    perturb(flow.parameters(), 0.1, torch.Generator().manual_seed(0))
    return flow.eval().requires_grad_(False)
