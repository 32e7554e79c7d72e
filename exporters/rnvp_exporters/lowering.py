"""Rewrites of a flow into fewer transforms that are the same function.

A general exporter sees tensors; this one knows that it holds a flow. Every rewrite here takes a
list of float64 transforms, in density order, and gives a list that computes the same z and the
same log_det. What is left at the end is what must run: couplings, dense linears, and one affine
at either end, with no permutation but perhaps a last one.

    rename       permutations only rename coordinates: they move to the end, and merge
    fold         affines move through couplings into the weights, and merge
    absorb       affines and permutations beside a dense linear become part of it
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy import RNVP
from rnvp_deploy.networks import Network
from rnvp_deploy.transforms import (
    Coupling,
    DiagonalAffine,
    DiagonalAffineSpec,
    Linear,
    LinearSpec,
    Permutation,
    PermutationSpec,
    Transform,
)
from rnvp_exporters.surgery import ending_dense, starting_dense, zero

__all__ = ["absorb", "fold", "lower", "rename"]

Pair = Callable[[Transform, Transform], list[Transform] | None]

FARTHEST_FOLD = 2.0
"""An affine whose |loc| exceeds this many of its scales stays where it is. A shift that is folded
away makes the state carry it, and every later sum rounds that many times coarser."""


def lower(flow: RNVP) -> list[Transform]:
    """The transforms of ``flow``, in float64, after every rewrite. The flow is not changed."""
    flow = copy.deepcopy(flow).double().requires_grad_(False)
    transforms = [dense(transform) for transform in flow.transforms]
    if (scaling := flow.context_scaling) is not None:
        transforms = [see_raw_context(transform, scaling) for transform in transforms]
    return absorb(fold(rename(transforms)))


def rename(transforms: list[Transform]) -> list[Transform]:
    """Write permutations into the index sets of what follows, until none but a last one is left."""
    return _rewrite(transforms, _swap_permutation)


def fold(transforms: list[Transform]) -> list[Transform]:
    """Move affines through couplings: to the front, or to the back through inverted ones."""
    return _rewrite(transforms, _swap_affine)


def absorb(transforms: list[Transform]) -> list[Transform]:
    """Make an affine or a permutation beside a dense linear part of it."""
    return _rewrite(transforms, _merge_linear)


def dense(transform: nn.Module) -> Transform:
    """An LU linear as its dense W; any other transform as it is."""
    assert isinstance(transform, Transform)
    if not isinstance(transform, Linear) or not transform.spec.lu:
        return transform
    return _linear(transform.matrix(), transform.bias)


def see_raw_context(transform: Transform, scaling: DiagonalAffine) -> Transform:
    """A coupling that takes the context as the user has it, and standardises it in its weights."""
    if not isinstance(transform, Coupling):
        return transform
    scale = torch.exp(scaling.log_scale)
    transform = copy.deepcopy(transform)
    passive = scale.new_zeros(len(transform.spec.passive))
    loc = torch.cat([passive, scaling.loc])
    _precompose(transform, loc, torch.cat([passive + 1, 1 / scale]))
    for module in transform.modules():
        gate = getattr(module, "gate", None)
        if isinstance(gate, nn.Linear):
            gate.bias.sub_(gate.weight @ (scaling.loc / scale))
            gate.weight.div_(scale)
    return transform


def _rewrite(transforms: list[Transform], rule: Pair) -> list[Transform]:
    """Apply ``rule`` to neighbours until it changes none."""
    result = list(transforms)
    i = 0
    while i < len(result) - 1:
        new = rule(result[i], result[i + 1])
        if new is None:
            i += 1
        else:
            result[i : i + 2] = new
            i = max(i - 1, 0)
    return result


def _swap_permutation(first: Transform, second: Transform) -> list[Transform] | None:
    """[P, T] → [T', P], where T' knows the coordinates by the names they have before P."""
    if not isinstance(first, Permutation):
        return None
    order = first.spec.order
    match second:
        case Permutation():
            merged = tuple(order[i] for i in second.spec.order)
            return [] if merged == tuple(range(len(merged))) else [_permutation(merged)]
        case Coupling():
            passive = tuple(order[i] for i in second.spec.passive)
            active = tuple(order[i] for i in second.spec.active)
            return [_with_sets(second, passive, active), first]
        case DiagonalAffine():
            return [_affine(second.loc[first.back], second.log_scale[first.back]), first]
        case Linear():
            return [_linear(second.matrix()[:, first.back], second.bias)]
    return None


def _swap_affine(first: Transform, second: Transform) -> list[Transform] | None:
    match first, second:
        case DiagonalAffine(), DiagonalAffine():
            # ((x − l₁)/s₁ − l₂)/s₂ = (x − (l₁ + s₁ l₂)) / (s₁ s₂)
            loc = first.loc + torch.exp(first.log_scale) * second.loc
            return [_affine(loc, first.log_scale + second.log_scale)]
        case Coupling(), DiagonalAffine() if not first.spec.inverted and _foldable(second):
            return _affine_before(first, second)
        case DiagonalAffine(), Coupling() if second.spec.inverted and _foldable(first):
            return _affine_after(first, second)
    return None


def _affine_before(coupling: Coupling, affine: DiagonalAffine) -> list[Transform]:
    """[C, A] → [A', C'].

    On the active half, (b e^σ + μ − l)/s = (b/s) e^σ + (μ − l)/s: the scale commutes, the shift
    goes into μ. On the passive half A comes first, so that C' sees a' = (a − l)/s and must undo
    it: a = s a' + l.
    """
    coupling = copy.deepcopy(coupling)
    passive, active = coupling.passive, coupling.active
    scale = torch.exp(affine.log_scale)
    _precompose_passive(coupling, -affine.loc[passive] / scale[passive], scale[passive])
    _postcompose_mu(coupling, 1 / scale[active], -affine.loc[active] / scale[active])
    loc = affine.loc.clone()
    loc[active] = 0
    return [_affine(loc, affine.log_scale), coupling]


def _affine_after(affine: DiagonalAffine, coupling: Coupling) -> list[Transform]:
    """[A, C⁻¹] → [C'⁻¹, A'], by (b − l)/s − μ = (b − (l + s μ))/s."""
    coupling = copy.deepcopy(coupling)
    passive, active = coupling.passive, coupling.active
    scale = torch.exp(affine.log_scale)
    _precompose_passive(coupling, affine.loc[passive], 1 / scale[passive])
    _postcompose_mu(coupling, scale[active], affine.loc[active])
    loc = affine.loc.clone()
    loc[active] = 0
    return [coupling, _affine(loc, affine.log_scale)]


def _merge_linear(first: Transform, second: Transform) -> list[Transform] | None:
    match first, second:
        case Linear(), Linear():
            W, V = first.matrix(), second.matrix()
            return [_linear(V @ W, V @ first.bias + second.bias)]
        case Linear(), DiagonalAffine():
            scale = torch.exp(second.log_scale)
            bias = (first.bias - second.loc) / scale
            return [_linear(first.matrix() / scale[:, None], bias)]
        case Linear(), Permutation():
            return [_linear(first.matrix()[second.order], first.bias[second.order])]
        case DiagonalAffine(), Linear() if _foldable(first):
            scale = torch.exp(first.log_scale)
            W = second.matrix() / scale
            return [_linear(W, second.bias - W @ first.loc)]
    return None


def _foldable(affine: DiagonalAffine) -> bool:
    return bool((affine.loc.abs() <= FARTHEST_FOLD * torch.exp(affine.log_scale)).all())


def _precompose_passive(coupling: Coupling, loc: Tensor, factor: Tensor) -> None:
    """Let the networks see (a − loc) ⊙ factor where they saw a, and the context as before."""
    context = coupling.spec.inputs - len(loc)
    _precompose(
        coupling,
        torch.cat([loc, loc.new_zeros(context)]),
        torch.cat([factor, factor.new_ones(context)]),
    )


def _precompose(coupling: Coupling, loc: Tensor, factor: Tensor) -> None:
    """Let the networks see (h − loc) ⊙ factor where they saw h."""
    for name in ("sig_net", "mu_net", "joint_net"):
        network = getattr(coupling, name)
        if network is not None:
            network = starting_dense(network, coupling.spec.inputs)
            first = network.layers[0]
            assert isinstance(first, nn.Linear)
            first.weight.mul_(factor)
            first.bias.sub_(first.weight @ loc)
            _put(coupling, name, network)


def _postcompose_mu(coupling: Coupling, factor: Tensor, shift: Tensor) -> None:
    """μ becomes μ ⊙ factor + shift, written into the last layer."""
    k = len(shift)
    if coupling.joint_net is not None:
        name, network = "joint_net", ending_dense(coupling.joint_net, 2 * k)
        factor = torch.cat([torch.ones_like(factor), factor])
        shift = torch.cat([torch.zeros_like(shift), shift])
    elif coupling.mu_net is not None:
        name, network = "mu_net", ending_dense(coupling.mu_net, k)
    elif bool((shift != 0).any()):
        name, network = "mu_net", zero(coupling.spec.inputs, k)
    else:
        return
    last = network.layers[-1]
    assert isinstance(last, nn.Linear)
    last.weight.mul_(factor[:, None])
    last.bias.mul_(factor).add_(shift)
    _put(coupling, name, network)


def _put(coupling: Coupling, name: str, network: Network) -> None:
    steps: dict[str, Any] = {name: network.steps}
    coupling.spec = replace(coupling.spec, **steps)
    setattr(coupling, name, network)


def _with_sets(coupling: Coupling, passive: tuple[int, ...], active: tuple[int, ...]) -> Coupling:
    moved = Coupling(replace(coupling.spec, passive=passive, active=active)).double()
    moved.requires_grad_(False)
    moved.load_state_dict(coupling.state_dict())
    return moved


def _affine(loc: Tensor, log_scale: Tensor) -> DiagonalAffine:
    affine = DiagonalAffine(DiagonalAffineSpec(len(loc), trainable=False)).double()
    affine.loc.copy_(loc)
    affine.log_scale.copy_(log_scale)
    return affine


def _linear(weight: Tensor, bias: Tensor) -> Linear:
    linear = Linear(LinearSpec(len(bias), lu=False)).double().requires_grad_(False)
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
    return linear


def _permutation(order: tuple[int, ...]) -> Permutation:
    return Permutation(PermutationSpec(order))
