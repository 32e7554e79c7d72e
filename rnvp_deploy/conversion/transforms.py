"""Our transforms, with another library's numbers in them. All in float64.

A coupling is read by its structure. Every other layer of a coupling flow (permutations, ActNorm,
batch norm, LU, rotations, …) is an affine map of R^d, and an affine map is what it does to
nothing and to the unit vectors: so all of them are read by one function, ``affine``.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rnvp_deploy.conversion.networks import Layer, build, compose
from rnvp_deploy.conversion.precision import exactly
from rnvp_deploy.conversion.refusal import refusal
from rnvp_deploy.scales import Scale, Tanh
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
)

__all__ = ["affine", "block_order", "coupling", "diagonal", "inverted", "selection"]


def coupling(
    passive: Sequence[int],
    active: Sequence[int],
    *,
    sig: list[Layer] | None = None,
    mu: list[Layer] | None = None,
    joint: list[Layer] | None = None,
    scale: Scale | None = None,
    inverted: bool = False,
    context_dim: int = 0,
) -> Coupling:
    """A coupling with these networks; the outputs of ``joint`` are all of u, then all of μ."""
    networks = {
        name: build(layers)
        for name, layers in (("sig_net", sig), ("mu_net", mu), ("joint_net", joint))
        if layers is not None
    }
    result = Coupling(
        CouplingSpec(
            tuple(passive),
            tuple(active),
            **{name: network.steps for name, network in networks.items()},
            scale=scale if scale is not None else Tanh(),
            inverted=inverted,
            context_dim=context_dim,
        )
    )
    for name, network in networks.items():
        setattr(result, name, network)
    return result


def block_order(layers: list[Layer], first_u: int, first_mu: int, step: int, k: int) -> list[Layer]:
    """``layers`` with outputs reordered to all k of u, then all k of μ.

    In the source u starts at output ``first_u``, μ at ``first_mu``, and each goes on every
    ``step`` outputs: (k, 0, 1) for shift then scale in blocks, (1, 0, 2) for both interleaved.
    """
    order = [first + step * i for first in (first_u, first_mu) for i in range(k)]
    return compose(layers, after=selection(order, 2 * k))


def selection(chosen: Sequence[int], width: int) -> Tensor:
    """The matrix that picks coordinates ``chosen`` of ``width``: (len(chosen), width)."""
    return torch.eye(width, dtype=torch.float64)[list(chosen)]


def diagonal(loc: Tensor, log_scale: Tensor) -> DiagonalAffine:
    """z = (x − loc) · exp(−log_scale)."""
    result = DiagonalAffine(DiagonalAffineSpec(len(loc))).double()
    result.load_state_dict({"loc": loc, "log_scale": log_scale})
    return result


def affine(function: Callable[[Tensor], Tensor], dim: int, path: str) -> tuple[Transform, ...]:
    """The affine map that ``function``, (n, d) → (n, d), is: in the cheapest transforms.

    The unit vectors are taken 2⁴⁰ long, and both ways, so that a large shift costs a small
    scale none of its digits.
    """
    length = 2.0**40
    units = length * torch.eye(dim, dtype=torch.float64)
    with exactly():
        bias = function(torch.zeros(1, dim, dtype=torch.float64))[0]
        weight = ((function(units) - function(-units)) / (2 * length)).T
    if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise refusal(path, "its affine map has entries that are not finite")
    order = weight.abs().argmax(1)
    scale = weight.gather(1, order[:, None])[:, 0]
    if int((weight != 0).sum()) == dim == len(set(order.tolist())) and bool((scale > 0).all()):
        return _permuted(order, scale, bias)
    linear = Linear(LinearSpec(dim, lu=False)).double()
    linear.load_state_dict({"weight": weight, "bias": bias})
    return (linear,)


def inverted(transform: Transform, dim: int, path: str) -> tuple[Transform, ...]:
    """What undoes ``transform``."""
    if isinstance(transform, Coupling):
        result = copy.copy(transform)
        result.spec = replace(transform.spec, inverted=not transform.spec.inverted)
        return (result,)
    return affine(transform.inverse, dim, path)


def _permuted(order: Tensor, scale: Tensor, bias: Tensor) -> tuple[Transform, ...]:
    """z_i = scale_i · x_order(i) + bias_i."""
    transforms: list[Transform] = []
    if not torch.equal(order, torch.arange(len(order))):
        transforms.append(Permutation(PermutationSpec(tuple(order.tolist()))))
    if bool((scale != 1).any() or (bias != 0).any()):
        transforms.append(diagonal(-bias / scale, -torch.log(scale)))
    return tuple(transforms)
