"""What a flow is, before any weight: one frozen dataclass, stored in every checkpoint."""

import random
from dataclasses import dataclass, field, replace
from typing import Literal

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.networks import Activation, Dense, Residual, Steps, mlp
from rnvp_deploy.scales import Scale, Tanh
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)

__all__ = ["RNVPConfig"]

Mixing = Literal["swap", "permute", "lu"]


@dataclass(frozen=True)
class RNVPConfig:
    """A recipe for a flow of d = ``dim`` coordinates, or with ``layers`` the very list of them.

    dim:          d. 1 is possible with a context only.
    context_dim:  c, the number of conditions; 0 for an unconditional flow.
    couplings:    how many affine couplings.
    hidden:       widths of the hidden layers of each network.
    split:        k, how many coordinates are in the first half, 1 ≤ k < d; d // 2 by default.
    activation:   between layers: a key of ``rnvp_deploy.networks.ACTIVATIONS``.
    residual:     hidden layers come as residual blocks (equal widths), gated by the context.
    joint:        one network for σ and μ (half the work, and trains better); False: the source's
                  separate ``sig_net`` and ``mu_net``.
    scale:        the scale function; bounded by default, since exp alone diverges in training.
    mixing:       how coordinates change roles between couplings: ``swap`` lets the halves take
                  turns; ``permute`` puts a random permutation (drawn from ``seed``) before each
                  coupling; ``lu`` puts a trainable linear map there.
    actnorm:      a trainable affine, set from data, before each coupling.
    standardise:  the first transform standardises the data, so that the flow speaks the user's
                  units; with a context, the context is standardised too.
    seed:         draws the permutations. (Weights are drawn by torch's own generator.)
    layers:       if given, the flow's transforms one by one; all the above but ``dim``,
                  ``context_dim`` and ``standardise`` (of the context alone) is then unused.
    """

    dim: int
    context_dim: int = 0
    couplings: int = 8
    hidden: tuple[int, ...] = (64, 64)
    split: int | None = None
    activation: str = "relu"
    residual: bool = False
    joint: bool = True
    scale: Scale = field(default_factory=Tanh)
    mixing: Mixing = "swap"
    actnorm: bool = False
    standardise: bool = True
    seed: int = 0
    layers: tuple[TransformSpec, ...] = ()

    def __post_init__(self) -> None:
        least = 1 if self.context_dim else 2
        if self.dim < least:
            raise ConfigError(
                f"dim is {self.dim}: a coupling needs one half to see and one to move, so at "
                "least 2 dimensions (1 with a context)"
            )
        if self.context_dim < 0:
            raise ConfigError(f"context_dim is {self.context_dim}; it cannot be negative")
        if self.layers:
            return
        if not (0 < self.half < self.dim) and self.dim > 1:
            raise ConfigError(f"split is {self.split}; it must be 1 … dim − 1 = {self.dim - 1}")
        if self.couplings < 1:
            raise ConfigError(f"couplings is {self.couplings}; a flow needs at least 1")
        if not all(width > 0 for width in self.hidden):
            raise ConfigError(f"hidden is {self.hidden}; every width must be at least 1")
        Activation(self.activation)  # refuses a name that there is not
        if self.residual and len(set(self.hidden)) != 1:
            raise ConfigError(f"residual networks need equal hidden widths, not {self.hidden}")
        if self.mixing not in ("swap", "permute", "lu"):
            raise ConfigError(f"mixing is {self.mixing!r}; it must be swap, permute or lu")

    @property
    def half(self) -> int:
        """k: the width of the first half."""
        return self.dim // 2 if self.split is None else self.split

    def explicit(self) -> "RNVPConfig":
        """The same flow with every transform written out in ``layers``."""
        return self if self.layers else replace(self, layers=tuple(self._recipe()))

    def _recipe(self) -> list[TransformSpec]:
        layers: list[TransformSpec] = []
        if self.standardise:
            layers.append(DiagonalAffineSpec(self.dim, from_data=True, trainable=False))
        draw = random.Random(self.seed)
        first, second = tuple(range(self.half)), tuple(range(self.half, self.dim))
        for i in range(self.couplings):
            if self.actnorm:
                layers.append(DiagonalAffineSpec(self.dim, from_data=True))
            if self.mixing == "permute" and self.dim > 1:
                order = draw.sample(range(self.dim), self.dim)
                layers.append(PermutationSpec(tuple(order)))
            elif self.mixing == "lu":
                layers.append(LinearSpec(self.dim))
            swapped = self.mixing == "swap" and i % 2 == 1 and self.dim > 1
            layers.append(self._coupling(*((second, first) if swapped else (first, second))))
        return layers

    def _coupling(self, passive: tuple[int, ...], active: tuple[int, ...]) -> CouplingSpec:
        inputs, outputs = len(passive) + self.context_dim, len(active)
        joint = self._network(inputs, 2 * outputs) if self.joint else None
        single = None if self.joint else self._network(inputs, outputs)
        return CouplingSpec(
            passive,
            active,
            sig_net=single,
            mu_net=single,
            joint_net=joint,
            scale=self.scale,
            context_dim=self.context_dim,
        )

    def _network(self, inputs: int, outputs: int) -> Steps:
        activation = Activation(self.activation, 0.01 if self.activation == "leaky_relu" else 1.0)
        if not self.residual:
            return mlp(inputs, self.hidden, outputs, activation)
        width = self.hidden[0]
        body = (activation, Dense(width, width), activation, Dense(width, width))
        blocks = [Residual(body, width, gate_inputs=self.context_dim) for _ in self.hidden]
        return (Dense(inputs, width), *blocks, Dense(width, outputs))
