"""Where the coordinates lie: a rewritten flow as steps over one or two tensors.

The coordinates lie in one or two tensors, the *parts*, from the first transform to the last.
If every coupling moves one of two fixed halves as a function of the other half, the halves are kept
apart: no node splits or joins them in between, and no network is wider than necessary. If the masks
allow no two such halves, the coordinates stay together, and each coupling's index sets are written
into its weights: zero columns for what it must not read, zero rows for what it does not move. In
both cases a permutation costs no node.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from rnvp_deploy.ir import (
    Coupling,
    DiagonalAffine,
    Elementwise,
    Flow,
    Linear,
    Network,
    Permutation,
    Transform,
)
from rnvp_deploy.ir.networks import scatter_inputs, scatter_outputs
from rnvp_deploy.maps import ElementwiseMap

__all__ = ["Lowered", "Parts", "PlacedCoupling", "Step", "place"]

Parts: TypeAlias = tuple[tuple[int, ...], ...]
"""The coordinates that each part holds, in its own order."""


@dataclass(frozen=True)
class PlacedCoupling:
    """A coupling that reads one part as a whole and writes one part as a whole.

    reads, writes: indices of the parts. They are equal where the coordinates lie in one part.
    heads:         network of each parameter of the map, as wide as the written part. A head reads
                   the outputs of ``trunk``, or, if that is empty, the part joined with the context.
    active:        columns of the written part that move. For the others every weight of the last
                   layer is 0.
    context_dim:   0 where the networks ignore the context.
    """

    reads: int
    writes: int
    heads: Mapping[str, Network]
    trunk: Network
    map: ElementwiseMap
    active: tuple[int, ...]
    width: int
    inverted: bool
    context_dim: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", MappingProxyType(dict(self.heads)))


Step: TypeAlias = PlacedCoupling | Linear | DiagonalAffine | Permutation


@dataclass(frozen=True)
class Lowered:
    """A flow in its inference form, in the direction data → latent.

        x → elementwise → entry → split into parts → steps → join in ``order`` → exit → z

    elementwise: the maps of the columns (log, logit, rounding); None if there are none.
    entry:   affine of x, in the order of the columns; None if there is none.
    exit:    affine of z; None if there is none.
    parts:   the coordinates of each part. Coordinate i is column i of x.
    order:   column i of z is coordinate order[i].
    steps:   what changes the parts. A linear, or a permutation that was not renamed away, needs
             one part; the ``loc`` of an affine is in the order of the coordinates.
    log_det: log |det dz/dx| of all affines and linears, in nats: a constant.
    """

    dim: int
    context_dim: int
    parts: Parts
    order: tuple[int, ...]
    steps: tuple[Step, ...]
    entry: DiagonalAffine | None = None
    exit: DiagonalAffine | None = None
    elementwise: Elementwise | None = None
    log_det: float = field(default=0.0)

    @property
    def halves_apart(self) -> bool:
        """Whether the coordinates lie in two parts."""
        return len(self.parts) > 1


def place(flow: Flow, *, keep_halves_apart: bool = True) -> Lowered:
    """The steps of a rewritten flow, over one or two parts.

    The flow must read its context as the user has it.
    """
    assert flow.context_scaling is None, "the context is standardised: apply RAW_CONTEXT first"
    transforms = list(flow.transforms)
    log_det = sum(map(_constant_log_det, transforms))
    elementwise = None
    if transforms and isinstance(first := transforms[0], Elementwise):
        elementwise = first
        transforms.pop(0)
    order = tuple(range(flow.dim))
    if transforms and isinstance(last := transforms[-1], Permutation):
        order = last.order
        transforms.pop()
    parts = _partition(transforms, flow.dim) if keep_halves_apart else (tuple(range(flow.dim)),)
    entry = final = None
    if transforms and isinstance(first := transforms[0], DiagonalAffine):
        entry = first
        transforms.pop(0)
    if transforms and isinstance(last := transforms[-1], DiagonalAffine):
        final = last.restricted(list(order))
        transforms.pop()
    steps = tuple(_placed(transform, parts) for transform in transforms)
    return Lowered(
        flow.dim, flow.context_dim, parts, order, steps, entry, final, elementwise, log_det
    )


def _partition(transforms: list[Transform], dim: int) -> Parts:
    """The two halves that the couplings move alternately; one part if there are no such halves."""
    together: Parts = (tuple(range(dim)),)
    divisions = set()
    for transform in transforms:
        if isinstance(transform, Linear | Permutation):
            return together
        if isinstance(transform, Coupling):
            sides = (tuple(sorted(transform.passive)), tuple(sorted(transform.active)))
            divisions.add((min(sides), max(sides)))
    if len(divisions) != 1:
        return together
    halves: Parts = divisions.pop()
    return halves if all(halves) else together


def _placed(transform: Transform, parts: Parts) -> Step:
    assert not isinstance(transform, Elementwise), "an elementwise transform must come first"
    return _placed_coupling(transform, parts) if isinstance(transform, Coupling) else transform


def _placed_coupling(coupling: Coupling, parts: Parts) -> PlacedCoupling:
    reads = next(i for i, part in enumerate(parts) if set(coupling.passive) <= set(part))
    writes = next(i for i, part in enumerate(parts) if set(coupling.active) <= set(part))
    source, target = parts[reads], parts[writes]
    width = len(source) + coupling.context_dim
    seen = [source.index(c) for c in coupling.passive] + list(range(len(source), width))
    active = [target.index(c) for c in coupling.active]
    trunk = scatter_inputs(coupling.trunk, seen, width) if coupling.trunk else ()

    def placed(name: str, head: Network) -> Network:
        if not trunk:
            head = scatter_inputs(head, seen, width)
        size = coupling.map.parameters[name]
        rows = [column * size + i for column in active for i in range(size)]
        return scatter_outputs(head, rows, len(target) * size)

    return PlacedCoupling(
        reads,
        writes,
        {name: placed(name, head) for name, head in coupling.heads.items()},
        trunk,
        coupling.map,
        tuple(active),
        len(target),
        coupling.inverted,
        coupling.context_dim,
    )


def _constant_log_det(transform: Transform) -> float:
    match transform:
        case DiagonalAffine(_, log_scale):
            return -float(log_scale.sum())
        case Linear(weight, _):
            return float(np.linalg.slogdet(weight).logabsdet)
    return 0.0
