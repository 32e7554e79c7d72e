"""Transforms and flows as immutable values, in the direction data → latent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from rnvp_deploy.ir.networks import Array, Network, freeze
from rnvp_deploy.maps import Affine, ElementwiseMap

__all__ = ["Coupling", "DiagonalAffine", "Flow", "Linear", "Permutation", "Transform", "inverse"]


@dataclass(frozen=True)
class Coupling:
    """A coupling: ``passive`` coordinates determine how the elementwise ``map`` moves the others.

    Each of ``heads`` gives one parameter of the map, by name. A head reads the outputs of
    ``trunk``; an empty trunk passes on what the coupling reads: the passive coordinates joined
    with the context. ``inverted`` swaps the two directions. ``context_dim`` is 0 where the
    networks ignore the context.
    """

    passive: tuple[int, ...]
    active: tuple[int, ...]
    heads: Mapping[str, Network]
    trunk: Network = ()
    map: ElementwiseMap = field(default_factory=Affine)
    inverted: bool = False
    context_dim: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", MappingProxyType(dict(self.heads)))

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.passive) + len(self.active)

    @property
    def inputs(self) -> int:
        """The number of inputs of its networks."""
        return len(self.passive) + self.context_dim


@dataclass(frozen=True, eq=False)
class DiagonalAffine:
    """z = (x − loc) · exp(−log_scale); both (d,)."""

    loc: Array
    log_scale: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "loc", freeze(self.loc))
        object.__setattr__(self, "log_scale", freeze(self.log_scale))

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.loc)

    @property
    def scale(self) -> Array:
        """exp(log_scale): (d,)."""
        return np.exp(self.log_scale)

    def restricted(self, columns: list[int]) -> "DiagonalAffine":
        """The affine of these coordinates alone, in this order."""
        return DiagonalAffine(self.loc[columns], self.log_scale[columns])


@dataclass(frozen=True)
class Permutation:
    """z[:, i] = x[:, order[i]]."""

    order: tuple[int, ...]

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.order)

    @property
    def inverse(self) -> tuple[int, ...]:
        """The order that undoes it."""
        return tuple(np.argsort(self.order).tolist())


@dataclass(frozen=True, eq=False)
class Linear:
    """z = weight · x + bias; weight: (d, d), bias: (d,)."""

    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", freeze(self.weight))
        object.__setattr__(self, "bias", freeze(self.bias))

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.bias)


Transform: TypeAlias = Coupling | DiagonalAffine | Permutation | Linear


def inverse(transform: Transform) -> Transform:
    """The transform whose forward direction is the inverse of ``transform``."""
    match transform:
        case Coupling():
            return replace(transform, inverted=not transform.inverted)
        case DiagonalAffine(loc, log_scale):
            return DiagonalAffine(-loc * np.exp(-log_scale), -log_scale)
        case Permutation():
            return Permutation(transform.inverse)
        case Linear(weight, bias):
            back = freeze(np.linalg.inv(weight))
            return Linear(back, -back @ bias)


@dataclass(frozen=True)
class Flow:
    """A stack of transforms from data to a standard normal latent.

    ``context_scaling`` standardises the context before any coupling reads it; None where the
    couplings read it as the user has it.
    """

    dim: int
    context_dim: int
    transforms: tuple[Transform, ...]
    context_scaling: DiagonalAffine | None = None
