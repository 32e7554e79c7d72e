"""Flows that together contain every part, so that few graphs contain all operators of exports."""

from collections.abc import Sequence
from itertools import cycle, islice

import torch

from rnvp_deploy import RNVP, ColumnMap
from rnvp_deploy.maps import Affine, ElementwiseMap
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

__all__ = ["FLOWS", "flow_of_parts"]

HALVES = ((0, 1), (2, 3, 4))
CONTEXT = 2
APART = 4  # flows with the coordinates in two tensors
FLOWS = (*(f"apart {k}" for k in range(APART)), "together", "integers")
COLUMNS = (ColumnMap(), ColumnMap("log"), ColumnMap("logit", -2.0, 3.0), ColumnMap("logit"),
           ColumnMap("log", -1.0))  # fmt: skip
INTEGERS = (ColumnMap(integer=True), ColumnMap("log", integer=True), *COLUMNS[2:])


def flow_of_parts(name: str) -> RNVP:
    """The flow called ``name``, one of ``FLOWS``, with perturbed parameters.

    The flows called ``apart`` together have all activations and scale functions, with the
    coordinates in two tensors. ``together`` has the coordinates in one tensor, with every scale
    function that must be masked there, and maps of columns. ``integers`` has columns of integers
    and no context.
    """
    affine = DiagonalAffineSpec(5)
    if name == "integers":
        return _lively([ElementwiseSpec(INTEGERS), *_plain_couplings()], context_dim=0)
    if name == "together":
        masked = [
            scale
            for scale in SCALES.values()
            if not scale.zero_at_zero or isinstance(scale, Centred)
        ]
        mixed: list[TransformSpec] = []
        for i, scale in enumerate(masked):
            mixed += [PermutationSpec((3, 0, 4, 1, 2)), _coupling(i, "tanh", Affine(scale)), affine]
        return _lively([ElementwiseSpec(COLUMNS), LinearSpec(5), *mixed])
    return _lively([affine, *_all_couplings()[FLOWS.index(name) :: APART], affine])


def _all_couplings() -> list[CouplingSpec]:
    maps = [*map(Affine, SCALES.values()), *MAPS.values()]
    names = list(ACTIVATIONS)
    pairs = islice(zip(cycle(names), cycle(maps), strict=False), max(len(names), len(maps)))
    return [_coupling(i, *pair) for i, pair in enumerate(pairs)]


def _plain_couplings() -> tuple[CouplingSpec, ...]:
    first, second = HALVES
    both = (("joint", mlp(2, (4,), 6, Activation("tanh"))),)
    shift = (("mu", mlp(3, (4,), 2, Activation("tanh"))),)
    return CouplingSpec(first, second, both), CouplingSpec(second, first, shift)


def _coupling(i: int, activation: str, elementwise: ElementwiseMap) -> CouplingSpec:
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
