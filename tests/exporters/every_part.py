"""Flows that hold every part there is: few graphs then hold every operator of an export."""

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

__all__ = ["flow_of_every_part", "integer_flow"]

HALVES = ((0, 1), (2, 3, 4))
CONTEXT = 2
COLUMNS = (ColumnMap(), ColumnMap("log"), ColumnMap("logit", -2.0, 3.0), ColumnMap("logit"),
           ColumnMap("log", -1.0))  # fmt: skip
INTEGERS = (ColumnMap(integer=True), ColumnMap("log", integer=True), *COLUMNS[2:])


def flow_of_every_part(*, together: bool) -> RNVP:
    """Every scale function, activation, kind of layer, elementwise map and column map.

    Args:
        together: With permutations, linears and affines in between, so that the coordinates lie in
            one tensor; else in two.
    """
    maps = [*map(Affine, SCALES.values()), *MAPS.values()]
    names = list(ACTIVATIONS)
    couplings = [
        _coupling(i, name, elementwise)
        for i, (name, elementwise) in enumerate(
            islice(zip(cycle(names), cycle(maps), strict=False), max(len(names), len(maps)))
        )
    ]
    transforms: list[TransformSpec] = [ElementwiseSpec(COLUMNS)]
    for i, coupling in enumerate(couplings):
        if together and i % 8 == 4:
            transforms += [PermutationSpec((3, 0, 4, 1, 2)), LinearSpec(5)]
        if i % 8 == 0:
            transforms.append(DiagonalAffineSpec(5))
        transforms.append(coupling)
    return _lively(FlowSpec(5, CONTEXT, tuple(transforms)))


def integer_flow() -> RNVP:
    """Columns of integers, in a flow without a context."""
    first, second = HALVES
    networks = (("joint", mlp(2, (4,), 6, Activation("tanh"))),)
    back = (("mu", mlp(3, (4,), 2, Activation("tanh"))),)
    couplings = (CouplingSpec(first, second, networks), CouplingSpec(second, first, back))
    return _lively(FlowSpec(5, 0, (ElementwiseSpec(INTEGERS), *couplings)))


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


def _lively(spec: FlowSpec) -> RNVP:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = RNVP(spec).double()
    perturb(flow.parameters(), 0.1, torch.Generator().manual_seed(0))
    return flow.eval().requires_grad_(False)
