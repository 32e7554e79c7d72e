"""FrEIA's ``AllInOneBlock``, in the three forms that it has had under one version number.

The first (February 2021) has names of its own; the second has today's names and
σ = clamp · tanh(0.1 u); the third (August 2023) has σ = clamp · tanh(0.1 u / clamp). anomalib
contains a copy of the second. The form is recognised by attributes and by what σ computes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnvp_deploy import ir
from rnvp_deploy.conversion.affine import read_affine
from rnvp_deploy.conversion.couplings import coupling
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.ir.networks import scale_outputs
from rnvp_deploy.scales import Centred

__all__ = ["read_all_in_one"]


def read_all_in_one(
    module: Any, path: str, dim: int, read: Callable[[Any, str, int], ir.Network], context_dim: int
) -> tuple[ir.Transform, ...]:
    """[Permutation before,] coupling, global affine, permutation.

    ``read(subnet, path, passive)`` reads its subnet, for so many passive coordinates.
    """
    k = dim // 2
    name = "subnet" if hasattr(module, "subnet") else "s"
    network = read(getattr(module, name), f"{path}.{name}", dim - k)
    network = scale_outputs(network, np.full(2 * k, 0.1), np.zeros(2 * k))
    move = _either(module, "_affine", "affine")

    def log_scale(u: Tensor) -> Tensor:
        # Two columns, u and −u, so that the mean that GIN subtracts is zero.
        rows = u.reshape(-1, 1)
        outputs = torch.cat([10 * rows, -10 * rows, 0 * rows, 0 * rows], 1)
        moved, _ = move(torch.ones_like(outputs[:, :2]), outputs)
        return torch.log(moved[:, 0]).reshape(u.shape)

    scale = recognise_scale(log_scale, path)
    coupled = coupling(
        path,
        range(dim - k),
        range(dim - k, dim),
        joint=network,
        scale=Centred(scale) if module.GIN else scale,
        context_dim=context_dim,
    )
    permute = _either(module, "_permute", "permute")

    def after(x: Tensor) -> Tensor:
        permuted = permute(x)
        result: Tensor = permuted[0] if isinstance(permuted, tuple) else permuted
        return result

    if module.householder:
        _store_permutation(module)
    before: tuple[ir.Transform, ...] = ()
    if _either(module, "reverse_pre_permute", "welling_perm"):
        before = read_affine(_either(module, "_pre_permute", "pre_permute"), dim, path)
    return (*before, coupled, *read_affine(after, dim, path))


def _either(module: Any, name: str, old_name: str) -> Any:
    return getattr(module, name if hasattr(module, name) else old_name)


def _store_permutation(module: Any) -> None:
    """Compute the permutation from Householder reflections, as a call of the module does."""
    construct = _either(
        module, "_construct_householder_permutation", "construct_householder_permutation"
    )
    today = hasattr(module, "w_perm")
    setattr(module, "w_perm" if today else "w", construct())
    setattr(module, "w_perm_inv" if today else "w_inv", construct().T.contiguous())
