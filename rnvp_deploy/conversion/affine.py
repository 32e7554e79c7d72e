"""Layers that are affine maps are read by evaluating them.

Every layer of a coupling flow that is not a coupling (permutation, ActNorm, batch norm, LU,
rotation, …) is an affine map of R^d. An affine map is determined by its values at 0 and at the
unit vectors, so one function reads all of them.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rnvp_deploy import ir
from rnvp_deploy.conversion.float64 import in_float64
from rnvp_deploy.conversion.refusal import refusal, refusing

__all__ = ["read_affine"]


def read_affine(
    function: Callable[[Tensor], Tensor], dim: int, path: str
) -> tuple[ir.Transform, ...]:
    """The affine map that ``function`` computes, as the cheapest transforms.

    Args:
        function: x (n, d) → z (n, d).
        dim: d.
        path: of the layer, for the error.

    Raises:
        ConversionError: the function fails, or its values are not finite.
    """
    # The unit vectors are 2⁴⁰ long and used in both signs, so that a large shift does not cost a
    # small scale any digits.
    length = 2.0**40
    units = length * torch.eye(dim, dtype=torch.float64)
    with in_float64(), refusing(path, f"it fails on rows of {dim} numbers"):
        shift = function(torch.zeros(1, dim, dtype=torch.float64))[0]
        matrix = ((function(units) - function(-units)) / (2 * length)).T
    if not (torch.isfinite(matrix).all() and torch.isfinite(shift).all()):
        raise refusal(path, "its affine map has entries that are NaN or infinite")
    weight, bias = matrix.numpy(), shift.numpy()
    if weight.shape != (dim, dim):
        raise refusal(path, f"it gives {len(weight)} numbers for each row of {dim}")
    order = np.abs(weight).argmax(1)
    scale = weight[np.arange(dim), order]
    one_each = np.count_nonzero(weight) == dim == len(set(order.tolist()))
    if one_each and (scale > 0).all():
        return _permuted(order.tolist(), scale, bias)
    return (ir.Linear(weight, bias),)


def _permuted(order: list[int], scale: ir.Array, bias: ir.Array) -> tuple[ir.Transform, ...]:
    """z_i = scale_i · x_order(i) + bias_i."""
    transforms: list[ir.Transform] = []
    if order != list(range(len(order))):
        transforms.append(ir.Permutation(tuple(order)))
    if (scale != 1).any() or bias.any():
        transforms.append(ir.DiagonalAffine(-bias / scale, -np.log(scale)))
    return tuple(transforms)
