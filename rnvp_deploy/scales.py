r"""Scale functions: from a network's output u to a coupling's log-scale σ.

Each is a small frozen value that can be called, compared, printed and stored. ``odd`` says that
σ(−u) = −σ(u), so that an exporter may flip the sign in the weights instead of in the graph;
``zero_at_zero`` that u = 0 gives σ = 0 exactly, so that zero weights mean "leave alone".

Everything is written from ``exp``, ``log``, ``tanh`` and comparisons. A deployed graph computes
the very expression that eager PyTorch does, and none of them goes through a sigmoid that
underflows or a ``log(1 + e)`` that rounds e away.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rnvp_deploy.errors import ConfigError

__all__ = [
    "Atan",
    "Centred",
    "Clip",
    "Exp",
    "LogSigmoid",
    "LogSigmoidPlus",
    "LogSoftplus",
    "Scale",
    "Sigmoid",
    "SoftClip",
    "Tanh",
]


@dataclass(frozen=True)
class Scale:
    """Log-scale σ(u): (n, k) → (n, k), elementwise (but for ``Centred``)."""

    odd: ClassVar[bool] = False
    zero_at_zero: ClassVar[bool] = False

    def __call__(self, u: Tensor) -> Tensor:
        raise NotImplementedError


def _require(condition: bool, scale: Scale) -> None:
    if not condition:
        raise ConfigError(f"{scale} is no scale function: a parameter is out of range")


@dataclass(frozen=True)
class Exp(Scale):
    """σ = u: the original R-NVP (Dinh, Sohl-Dickstein and Bengio 2017), unbounded."""

    odd: ClassVar[bool] = True
    zero_at_zero: ClassVar[bool] = True

    def __call__(self, u: Tensor) -> Tensor:
        return u


@dataclass(frozen=True)
class Tanh(Scale):
    """σ = bound · tanh(u / width)."""

    bound: float = 1.0
    width: float = 1.0
    odd: ClassVar[bool] = True
    zero_at_zero: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require(self.bound > 0 and self.width > 0, self)

    def __call__(self, u: Tensor) -> Tensor:
        if self.width != 1.0:
            u = u / self.width
        return _times(self.bound, torch.tanh(u))


@dataclass(frozen=True)
class Atan(Scale):
    """σ = 0.636 · bound · atan(u). The 0.636 (not 2/π) is FrEIA's."""

    bound: float = 1.0
    odd: ClassVar[bool] = True
    zero_at_zero: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require(self.bound > 0, self)

    def __call__(self, u: Tensor) -> Tensor:
        return _times(0.636 * self.bound, torch.atan(u))


@dataclass(frozen=True)
class Sigmoid(Scale):
    """σ = bound · (2 · sigmoid(u) − 1), which is bound · tanh(u / 2)."""

    bound: float = 1.0
    odd: ClassVar[bool] = True
    zero_at_zero: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require(self.bound > 0, self)

    def __call__(self, u: Tensor) -> Tensor:
        return _times(self.bound, torch.tanh(u * 0.5))


@dataclass(frozen=True)
class SoftClip(Scale):
    """σ = u / (1 + |u / log slope|): |σ| < |log slope| (zuko)."""

    slope: float = 1e-3
    odd: ClassVar[bool] = True
    zero_at_zero: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require(0 < self.slope < 1, self)

    def __call__(self, u: Tensor) -> Tensor:
        return u / (1 + torch.abs(u) * abs(1 / math.log(self.slope)))


@dataclass(frozen=True)
class LogSigmoid(Scale):
    """σ = sign · log sigmoid(u + shift)."""

    sign: float = 1.0
    shift: float = 2.0

    def __post_init__(self) -> None:
        _require(self.sign in (1, -1), self)

    def __call__(self, u: Tensor) -> Tensor:
        return _times(self.sign, _log_sigmoid(_plus(self.shift, u)))


@dataclass(frozen=True)
class LogSigmoidPlus(Scale):
    """σ = log(sigmoid(u + shift) + eps) (the default of nflows)."""

    eps: float = 1e-3
    shift: float = 2.0

    def __post_init__(self) -> None:
        _require(self.eps >= 0, self)

    def __call__(self, u: Tensor) -> Tensor:
        return torch.log(torch.exp(_log_sigmoid(_plus(self.shift, u))) + self.eps)


@dataclass(frozen=True)
class LogSoftplus(Scale):
    """σ = log min(softplus(u) + eps, most) (nflows' and glasflow's general scale)."""

    eps: float = 1e-3
    most: float = 3.0

    def __post_init__(self) -> None:
        _require(0 <= self.eps < self.most, self)

    def __call__(self, u: Tensor) -> Tensor:
        softplus = torch.relu(u) + _log1p(torch.exp(-torch.abs(u)))
        return torch.log(torch.clamp(softplus + self.eps, None, self.most))


@dataclass(frozen=True)
class Clip(Scale):
    """σ = clip(u, low, high) (pyro)."""

    low: float = -5.0
    high: float = 3.0

    def __post_init__(self) -> None:
        _require(self.low < self.high, self)

    def __call__(self, u: Tensor) -> Tensor:
        return torch.clamp(u, self.low, self.high)


@dataclass(frozen=True)
class Centred(Scale):
    """σ = inner(u) less its mean over the k coordinates: Σσ = 0, a coupling that keeps volume.

    General incompressible-flow networks (GIN): Sorrenson, Rother and Köthe 2020.
    """

    inner: Scale = Tanh()
    odd: ClassVar[bool] = False
    zero_at_zero: ClassVar[bool] = True

    def __call__(self, u: Tensor) -> Tensor:
        sigma = self.inner(u)
        return sigma - sigma.mean(-1, keepdim=True)


def _times(factor: float, values: Tensor) -> Tensor:
    return values if factor == 1.0 else values * factor


def _plus(shift: float, values: Tensor) -> Tensor:
    return values if shift == 0.0 else values + shift


def _log_sigmoid(v: Tensor) -> Tensor:
    return -torch.relu(-v) - _log1p(torch.exp(-torch.abs(v)))


def _log1p(e: Tensor) -> Tensor:
    """log(1 + e) for 0 ≤ e ≤ 1, right to the last bits of a small e.

    ONNX has no Log1p. What rounding drops from 1 + e is known exactly and is put back to first
    order: log(w + r) = log w + r/w + O(r²), where w is the rounded sum and r = e − (w − 1).
    """
    w = e + 1.0
    return torch.log(w) + (e - (w - 1.0)) / w
