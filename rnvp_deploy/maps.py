"""Elementwise maps of couplings: what a coupling does to each active coordinate.

A coupling's networks read the passive coordinates and give the *parameters* of the map. The map
then moves each active coordinate on its own, with a known derivative.

To add a map, write its class here and enter it in ``MAPS``. The checkpoint, lowering and the
exported graphs then support it. ``COUPLING_STEPS`` of ``rnvp_exporters.graphs.steps`` may hold a
form of it that needs fewer nodes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rnvp_deploy.scales import Scale, Tanh

__all__ = ["MAPS", "Affine", "ElementwiseMap"]


@dataclass(frozen=True)
class ElementwiseMap(ABC):
    """A bijection of R for each coordinate, b ↦ z, with parameters given for each row.

    A graph runs the same code as eager PyTorch. Use operators that onnxruntime implements in
    float32 and float64: ``exp``, ``log``, ``sqrt``, ``tanh`` and arithmetic, for example.
    """

    @classmethod
    def examples(cls) -> tuple["ElementwiseMap", ...]:
        """Values that tests use: the default, and others that differ."""
        return (cls(),)

    @property
    @abstractmethod
    def parameters(self) -> dict[str, int]:
        """Name → numbers for each coordinate, in the order of a joint network's outputs."""

    @abstractmethod
    def forward(self, b: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Move b by the map.

        Args:
            b: (n, k), the active coordinates.
            given: parameters by name, each (n, k · size). One that is left out has no effect.

        Returns:
            z (n, k), and log |dz/db| of each coordinate, (n, k), in nats.
        """

    @abstractmethod
    def inverse(self, z: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The b with forward(b) = z, and log |db/dz|; shapes as in ``forward``."""


@dataclass(frozen=True)
class Affine(ElementwiseMap):
    """z = b · exp(σ) + μ with σ = scale(sig): Dinh, Sohl-Dickstein and Bengio 2017, eq. 7.

    Without ``sig`` it is a shift (NICE: Dinh, Krueger and Bengio 2014), without ``mu`` a scaling.
    """

    scale: Scale = field(default_factory=Tanh)

    @property
    def parameters(self) -> dict[str, int]:
        return {"sig": 1, "mu": 1}

    def forward(self, b: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        sigma, mu = self._sigma_mu(b, given)
        return b * torch.exp(sigma) + mu, sigma

    def inverse(self, z: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        sigma, mu = self._sigma_mu(z, given)
        return (z - mu) * torch.exp(-sigma), -sigma

    def _sigma_mu(self, b: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        nothing = torch.zeros_like(b)
        sigma = self.scale(given["sig"]) if "sig" in given else nothing
        return sigma, given.get("mu", nothing)


MAPS: dict[str, type[ElementwiseMap]] = {"affine": Affine}
"""The elementwise maps, by name. A checkpoint may hold these and no others."""
