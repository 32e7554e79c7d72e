"""Rewrites of a flow into fewer transforms with the same function.

A general exporter gets only tensors. This one also uses the structure of the flow. Each rewrite
maps a flow to one that computes the same z and the same log_det, up to float64 rounding.

    RAW_CONTEXT   standardisation of the context moves into the weights that read the context
    SCALES        the shift and the gain inside a scale function move into the layer before it
    RENAME        permutations only rename coordinates: they move to the end and merge
    FOLD          affines move through couplings into the weights, and merge
    ABSORB        affines and permutations beside a dense linear become part of it

Couplings, dense linears, one affine at either end and one permutation at the end remain. An
elementwise transform of the data stays first: nothing moves through it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from rnvp_deploy.ir import (
    Array,
    Coupling,
    Dense,
    DiagonalAffine,
    Flow,
    Linear,
    Permutation,
    Transform,
)
from rnvp_deploy.ir.networks import map_gates, scale_inputs, scale_outputs, zero
from rnvp_deploy.maps import Affine

__all__ = ["ABSORB", "ALL", "FOLD", "RAW_CONTEXT", "RENAME", "SCALES", "Rewrite"]

Property: TypeAlias = Callable[[Flow], bool]
Rule: TypeAlias = Callable[[Transform, Transform], list[Transform] | None]
"""Two neighbours → their replacement; None where the rule does not apply."""

FARTHEST_FOLD = 2.0
"""An affine whose |loc| exceeds this many of its scales is not folded. The state would carry the
shift, and every later sum would round to multiples of a coarser unit."""


@dataclass(frozen=True)
class Rewrite:
    """A function from a flow to an equal one, and the properties that it relies on and gives.

    requires: properties that must hold before.
    ensures:  properties that hold after it, and that every later rewrite keeps.
    """

    name: str
    apply: Callable[[Flow], Flow]
    ensures: Property
    requires: Property = lambda flow: True


def _pairwise(rule: Rule) -> Callable[[Flow], Flow]:
    """Apply ``rule`` to neighbours until it applies to none."""

    def apply(flow: Flow) -> Flow:
        result = list(flow.transforms)
        i = 0
        while i < len(result) - 1:
            new = rule(result[i], result[i + 1])
            if new is None:
                i += 1
            else:
                result[i : i + 2] = new
                i = max(i - 1, 0)
        return replace(flow, transforms=tuple(result))

    return apply


def _no_neighbours(match: Callable[[Transform, Transform], bool]) -> Property:
    return lambda flow: not any(itertools.starmap(match, itertools.pairwise(flow.transforms)))


def _read_raw_context(flow: Flow) -> Flow:
    scaling = flow.context_scaling
    if scaling is None:
        return flow
    transforms = [
        _with_raw_context(transform, scaling) if isinstance(transform, Coupling) else transform
        for transform in flow.transforms
    ]
    return replace(flow, transforms=tuple(transforms), context_scaling=None)


def _with_raw_context(coupling: Coupling, scaling: DiagonalAffine) -> Coupling:
    """The coupling that reads the context as the user has it."""
    factor = 1 / scaling.scale

    def gate(dense: Dense) -> Dense:
        (changed,) = scale_inputs((dense,), scaling.loc, factor)
        assert isinstance(changed, Dense)
        return changed

    coupling = replace(
        coupling,
        trunk=map_gates(coupling.trunk, gate),
        heads={name: map_gates(head, gate) for name, head in coupling.heads.items()},
    )
    if not coupling.context_dim:
        return coupling
    passive = np.zeros(len(coupling.passive))
    loc = np.concatenate([passive, scaling.loc])
    return _scale_read(coupling, loc, np.concatenate([passive + 1, factor]))


def _rewrite_scales(flow: Flow) -> Flow:
    return replace(flow, transforms=tuple(map(_rewrite_scale, flow.transforms)))


def _rewrite_scale(transform: Transform) -> Transform:
    if not isinstance(transform, Coupling) or not isinstance(transform.map, Affine):
        return transform
    if "sig" not in transform.heads:
        return transform
    cheaper = transform.map.scale.rewritten()
    if (cheaper.gain, cheaper.shift) == (1.0, 0.0):
        return replace(transform, map=Affine(cheaper.scale))
    k = len(transform.active)
    head = scale_outputs(
        transform.heads["sig"], np.full(k, cheaper.gain), np.full(k, cheaper.shift)
    )
    return replace(transform, map=Affine(cheaper.scale), heads={**transform.heads, "sig": head})


def _swap_permutation(first: Transform, second: Transform) -> list[Transform] | None:
    """[P, T] → [T', P], where T' uses the names that the coordinates have before P."""
    if not isinstance(first, Permutation):
        return None
    order, back = first.order, list(first.inverse)
    match second:
        case Permutation():
            merged = tuple(order[i] for i in second.order)
            return [] if merged == tuple(range(len(merged))) else [Permutation(merged)]
        case Coupling():
            passive = tuple(order[i] for i in second.passive)
            active = tuple(order[i] for i in second.active)
            return [replace(second, passive=passive, active=active), first]
        case DiagonalAffine():
            return [second.restricted(back), first]
        case Linear():
            return [Linear(second.weight[:, back], second.bias)]
    return None


def _swap_affine(first: Transform, second: Transform) -> list[Transform] | None:
    match first, second:
        case DiagonalAffine(), DiagonalAffine():
            # ((x − l₁)/s₁ − l₂)/s₂ = (x − (l₁ + s₁ l₂)) / (s₁ s₂)
            loc = first.loc + first.scale * second.loc
            return [DiagonalAffine(loc, first.log_scale + second.log_scale)]
        case Coupling(), DiagonalAffine() if not first.inverted and _foldable(first, second):
            return _affine_before(first, second)
        case DiagonalAffine(), Coupling() if second.inverted and _foldable(second, first):
            return _affine_after(first, second)
    return None


def _foldable(coupling: Coupling, affine: DiagonalAffine) -> bool:
    return isinstance(coupling.map, Affine) and _near_origin(affine)


def _near_origin(affine: DiagonalAffine) -> bool:
    return bool((np.abs(affine.loc) <= FARTHEST_FOLD * affine.scale).all())


def _affine_before(coupling: Coupling, affine: DiagonalAffine) -> list[Transform]:
    """[C, A] → [A', C'].

    On the active half, (b e^σ + μ − l)/s = (b/s) e^σ + (μ − l)/s: the scale commutes, the shift
    becomes part of μ. On the passive half A now comes first, so C' reads a' = (a − l)/s and its
    first layer undoes it: a = s a' + l.
    """
    passive, active = list(coupling.passive), list(coupling.active)
    loc, scale = affine.loc, affine.scale
    coupling = _scale_passive(coupling, -loc[passive] / scale[passive], scale[passive])
    coupling = _scale_mu(coupling, 1 / scale[active], -loc[active] / scale[active])
    return [_without_shift(affine, active), coupling]


def _affine_after(affine: DiagonalAffine, coupling: Coupling) -> list[Transform]:
    """[A, C⁻¹] → [C'⁻¹, A'], by (b − l)/s − μ = (b − (l + s μ))/s."""
    passive, active = list(coupling.passive), list(coupling.active)
    loc, scale = affine.loc, affine.scale
    coupling = _scale_passive(coupling, loc[passive], 1 / scale[passive])
    coupling = _scale_mu(coupling, scale[active], loc[active])
    return [coupling, _without_shift(affine, active)]


def _without_shift(affine: DiagonalAffine, coordinates: list[int]) -> DiagonalAffine:
    loc = affine.loc.copy()
    loc[coordinates] = 0
    return DiagonalAffine(loc, affine.log_scale)


def _scale_passive(coupling: Coupling, loc: Array, factor: Array) -> Coupling:
    """Let the networks read (a − loc) ⊙ factor where they read a, and the context as before."""
    context = np.zeros(coupling.context_dim)
    return _scale_read(
        coupling, np.concatenate([loc, context]), np.concatenate([factor, context + 1])
    )


def _scale_read(coupling: Coupling, loc: Array, factor: Array) -> Coupling:
    """Let the networks read (h − loc) ⊙ factor where they read h."""
    if coupling.trunk:
        return replace(coupling, trunk=scale_inputs(coupling.trunk, loc, factor))
    heads = {name: scale_inputs(head, loc, factor) for name, head in coupling.heads.items()}
    return replace(coupling, heads=heads)


def _scale_mu(coupling: Coupling, factor: Array, shift: Array) -> Coupling:
    """μ becomes μ ⊙ factor + shift."""
    head = coupling.heads.get("mu")
    if head is None:
        if not shift.any():
            return coupling
        head = (zero(coupling.inputs, len(shift)),)
    return replace(coupling, heads={**coupling.heads, "mu": scale_outputs(head, factor, shift)})


def _merge_linear(first: Transform, second: Transform) -> list[Transform] | None:
    match first, second:
        case Linear(), Linear():
            bias = second.weight @ first.bias + second.bias
            return [Linear(second.weight @ first.weight, bias)]
        case Linear(), DiagonalAffine():
            bias = (first.bias - second.loc) / second.scale
            return [Linear(first.weight / second.scale[:, None], bias)]
        case Linear(), Permutation():
            order = list(second.order)
            return [Linear(first.weight[order], first.bias[order])]
        case DiagonalAffine(), Linear() if _near_origin(first):
            weight = second.weight / first.scale
            return [Linear(weight, second.bias - weight @ first.loc)]
    return None


def _is_after_linear(first: Transform, second: Transform) -> bool:
    return isinstance(first, Linear) and not isinstance(second, Coupling)


RAW_CONTEXT = Rewrite(
    "raw context", _read_raw_context, ensures=lambda flow: flow.context_scaling is None
)
SCALES = Rewrite(
    "scales",
    _rewrite_scales,
    ensures=lambda flow: all(
        transform.map.scale == transform.map.scale.rewritten().scale
        for transform in flow.transforms
        if isinstance(transform, Coupling)
        and isinstance(transform.map, Affine)
        and "sig" in transform.heads
    ),
)
RENAME = Rewrite(
    "rename",
    _pairwise(_swap_permutation),
    ensures=_no_neighbours(lambda first, _: isinstance(first, Permutation)),
)
FOLD = Rewrite(
    "fold",
    _pairwise(_swap_affine),
    ensures=_no_neighbours(
        lambda first, second: (
            isinstance(first, DiagonalAffine) and isinstance(second, DiagonalAffine)
        )
    ),
)
ABSORB = Rewrite(
    "absorb",
    _pairwise(_merge_linear),
    ensures=_no_neighbours(_is_after_linear),
)
ALL = (RAW_CONTEXT, SCALES, RENAME, FOLD, ABSORB)
"""Every rewrite, in the order in which they run."""
