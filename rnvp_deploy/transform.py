"""The interface of a transform."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["Transform"]


class Transform(nn.Module, ABC):
    """A bijection of R^d with a tractable Jacobian."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (n, d) → z (n, d) and log |det dz/dx| (n,)."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """z (n, d) → the x (n, d) with forward(x) = z."""

    def initialise(self, x: Tensor) -> None:
        """Set the parameters that depend on data, before training, from the input x (n, d)."""
