"""A recipe for a new flow: a few choices that determine every transform."""

import random
from dataclasses import dataclass, field
from typing import Literal

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.field_types import refuse_mistyped
from rnvp_deploy.mapped_columns import ColumnMap
from rnvp_deploy.maps import Affine
from rnvp_deploy.networks import Activation, Dense, Residual, Steps, mlp
from rnvp_deploy.plain_values import make_plain
from rnvp_deploy.scales import Scale, Tanh
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import (
    CouplingSpec,
    DiagonalAffineSpec,
    ElementwiseSpec,
    LinearSpec,
    PermutationSpec,
    TransformSpec,
)

__all__ = ["RNVPConfig"]

Mixing = Literal["swap", "permute", "lu"]


@dataclass(frozen=True)
class RNVPConfig:
    """A recipe for a flow. ``spec()`` gives the transforms that follow from it.

    dim:          d. 1 is possible only with a context.
    context_dim:  c, the number of conditions; 0 for an unconditional flow.
    couplings:    the number of affine couplings.
    hidden:       widths of the hidden layers of each network.
    split:        k, the number of coordinates in the first half, 1 ≤ k < d; d // 2 by default.
    activation:   between layers: a key of ``rnvp_deploy.networks.ACTIVATIONS``.
    residual:     hidden layers are residual blocks (of equal widths), gated by the context.
    joint:        one network for σ and μ (half the cost, and it trains better); False: separate
                  networks ``sig_net`` and ``mu_net``.
    scale:        the scale function. The default is bounded, because exp alone diverges in
                  training.
    mixing:       how coordinates change roles between couplings. ``swap``: the halves alternate.
                  ``permute``: a random permutation, drawn from ``seed``, before each coupling.
                  ``lu``: a trainable linear map before each coupling.
    actnorm:      a trainable affine, set from data, before each coupling.
    standardise:  the first transform standardises the data, so that the flow works in the user's
                  units; a context is standardised too.
    elementwise:  how each column is mapped first (log, logit, integers), see
                  ``rnvp_deploy.column_maps``; empty: no column is.
    seed:         draws the permutations. (Weights are drawn by torch's own generator.)

    Raises:
        ConfigError: names the option, the value found and the values expected.
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
    elementwise: tuple[ColumnMap, ...] = ()

    def __post_init__(self) -> None:
        make_plain(self)
        if not isinstance(self.scale, Scale):
            raise ConfigError(f"scale is {self.scale!r}; expected a scale function, such as Tanh()")
        refuse_mistyped(self, ConfigError)
        if self.context_dim < 0:
            raise ConfigError(f"context_dim is {self.context_dim}; expected 0 or more")
        if self.dim < (1 if self.context_dim else 2):
            raise ConfigError(
                f"dim is {self.dim}: a coupling needs a passive and an active half, so expected "
                "at least 2 dimensions (1 with a context)"
            )
        if not (0 < self.half < self.dim) and self.dim > 1:
            raise ConfigError(f"split is {self.split}; expected 1 … dim − 1 = {self.dim - 1}")
        if self.couplings < 1:
            raise ConfigError(f"couplings is {self.couplings}; expected at least 1")
        if not all(width > 0 for width in self.hidden):
            raise ConfigError(f"hidden is {self.hidden}; expected widths of at least 1")
        if self.residual and len(set(self.hidden)) != 1:
            raise ConfigError(f"hidden is {self.hidden}; residual networks need equal widths")
        if len(self.elementwise) not in (0, self.dim):
            raise ConfigError(
                f"elementwise has {len(self.elementwise)} maps; expected one for each of the "
                f"{self.dim} columns"
            )
        Activation(self.activation)  # raises ConfigError for an unknown name

    @property
    def half(self) -> int:
        """k: the width of the first half."""
        return self.dim // 2 if self.split is None else self.split

    def spec(self) -> FlowSpec:
        """The flow of this recipe, transform by transform."""
        return FlowSpec(
            self.dim,
            self.context_dim,
            tuple(self._transforms()),
            standardise_context=self.standardise and self.context_dim > 0,
        )

    def _transforms(self) -> list[TransformSpec]:
        transforms: list[TransformSpec] = []
        if any(not column.is_identity for column in self.elementwise):
            transforms.append(ElementwiseSpec(tuple(self.elementwise)))
        if self.standardise:
            transforms.append(DiagonalAffineSpec(self.dim, from_data=True, trainable=False))
        draw = random.Random(self.seed)
        first, second = tuple(range(self.half)), tuple(range(self.half, self.dim))
        for i in range(self.couplings):
            if self.actnorm:
                transforms.append(DiagonalAffineSpec(self.dim, from_data=True))
            if self.mixing == "permute" and self.dim > 1:
                order = draw.sample(range(self.dim), self.dim)
                transforms.append(PermutationSpec(tuple(order)))
            elif self.mixing == "lu":
                transforms.append(LinearSpec(self.dim))
            swapped = self.mixing == "swap" and i % 2 == 1 and self.dim > 1
            transforms.append(self._coupling(*((second, first) if swapped else (first, second))))
        return transforms

    def _coupling(self, passive: tuple[int, ...], active: tuple[int, ...]) -> CouplingSpec:
        inputs, k = len(passive) + self.context_dim, len(active)
        moved_by = Affine(self.scale)
        if self.joint:
            networks = [("joint", self._network(inputs, k * sum(moved_by.parameters.values())))]
        else:
            networks = [
                (name, self._network(inputs, k * size))
                for name, size in moved_by.parameters.items()
            ]
        return CouplingSpec(
            passive, active, tuple(networks), moved_by, context_dim=self.context_dim
        )

    def _network(self, inputs: int, outputs: int) -> Steps:
        activation = Activation(self.activation, 0.01 if self.activation == "leaky_relu" else 1.0)
        if not self.residual:
            return mlp(inputs, self.hidden, outputs, activation)
        width = self.hidden[0]
        body = (activation, Dense(width, width), activation, Dense(width, width))
        blocks = [Residual(body, width, gate_inputs=self.context_dim) for _ in self.hidden]
        return (Dense(inputs, width), *blocks, Dense(width, outputs))
