"""FrEIA's ``AllInOneBlock``, in the three forms that it has had under one version number.

The first (February 2021) has its own names for everything; the second has today's names and
σ = clamp · tanh(0.1 u); the third (August 2023) has σ = clamp · tanh(0.1 u / clamp). anomalib
carries a copy of the second. Which one a model holds is told by what it has and computes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy.conversion.networks import Layer, compose
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.conversion.transforms import affine, coupling, selection
from rnvp_deploy.scales import Centred
from rnvp_deploy.transforms import Transform

__all__ = ["read_all_in_one"]


def read_all_in_one(
    module: Any, path: str, dim: int, read: Callable[[Any, str, int], list[Layer]], context_dim: int
) -> tuple[Transform, ...]:
    """[Permutation before,] coupling, global affine, permutation.

    ``read`` reads its subnet, given how many coordinates are passive.
    """
    k = dim // 2
    subnet = "subnet" if hasattr(module, "subnet") else "s"
    layers = read(getattr(module, subnet), f"{path}.{subnet}", dim - k)
    layers = compose(layers, after=0.1 * selection(range(2 * k), 2 * k))
    move = _either(module, "_affine", "affine")

    def log_scale(u: Tensor) -> Tensor:
        # Two columns, u and −u, so that the mean which GIN takes off is zero.
        rows = u.reshape(-1, 1)
        outputs = torch.cat([10 * rows, -10 * rows, 0 * rows, 0 * rows], 1)
        moved, _ = move(torch.ones_like(outputs[:, :2]), outputs)
        return torch.log(moved[:, 0]).reshape(u.shape)

    scale = recognise_scale(log_scale, path)
    coupled = coupling(
        range(dim - k),
        range(dim - k, dim),
        joint=layers,
        scale=Centred(scale) if module.GIN else scale,
        context_dim=context_dim,
    )
    permute = _either(module, "_permute", "permute")

    def after(x: Tensor) -> Tensor:
        permuted = permute(x)
        result: Tensor = permuted[0] if isinstance(permuted, tuple) else permuted
        return result

    if module.householder:
        _hold_permutation(module)
    before: tuple[Transform, ...] = ()
    if _either(module, "reverse_pre_permute", "welling_perm"):
        before = affine(_either(module, "_pre_permute", "pre_permute"), dim, path)
    return (*before, coupled, *affine(after, dim, path))


def _either(module: Any, name: str, old_name: str) -> Any:
    return getattr(module, name if hasattr(module, name) else old_name)


def _hold_permutation(module: Any) -> None:
    """Compute the permutation of Householder reflections, as a call would."""
    construct = _either(
        module, "_construct_householder_permutation", "construct_householder_permutation"
    )
    today = hasattr(module, "w_perm")
    setattr(module, "w_perm" if today else "w", construct())
    setattr(module, "w_perm_inv" if today else "w_inv", construct().T.contiguous())
