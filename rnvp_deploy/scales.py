r"""Scale functions: from a network's output u to a coupling's log-scale σ.

Each is a frozen value that can be called, compared, printed and stored. Everything is written
from ``exp``, ``log``, ``tanh`` and comparisons, so that an exported graph computes the same
expression as eager PyTorch. No function uses a sigmoid that underflows or a ``log(1 + e)`` that
loses a small e to rounding.

To add a scale function, write its class here and enter it in ``SCALES``. The checkpoint, the
trainer, the recognition of other libraries' functions, the export tests and the table in the
documentation read that registry.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import ClassVar, Self

import torch
from torch import Tensor

from rnvp_deploy.errors import ConfigError

__all__ = [
    "SCALES",
    "Atan",
    "Centred",
    "Clip",
    "Exp",
    "LogSigmoid",
    "LogSigmoidPlus",
    "LogSoftplus",
    "Rewritten",
    "Scale",
    "Sigmoid",
    "SoftClip",
    "Tanh",
    "parse_scale",
    "tidy",
]

_FAR = 1e6
_UNBOUNDED = 1000.0


@dataclass(frozen=True)
class Rewritten:
    """A scale function as a cheaper one: σ(u) = scale(gain · u + shift)."""

    scale: "Scale"
    gain: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Scale:
    """Log-scale σ(u): (n, k) → (n, k), elementwise except for ``Centred``.

    ``odd``: σ(−u) = −σ(u), so that an exporter may move the sign into the weights.
    ``zero_at_zero``: u = 0 gives σ = 0 exactly, so that zero weights leave a coordinate as it is.
    """

    odd: ClassVar[bool] = False
    zero_at_zero: ClassVar[bool] = False

    def __call__(self, u: Tensor) -> Tensor:
        raise NotImplementedError

    @classmethod
    def examples(cls) -> tuple["Scale", ...]:
        """Values that tests and the documentation use: the default, and others that differ."""
        return (cls(),)

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator["Scale"]:
        """Values that an unknown function could be, given its value ``at`` any u.

        Its parameters (bounds, slopes) are read from these values; the caller compares the whole.
        A class that yields none is not recognised in other libraries' models.
        """
        yield from ()

    def rewritten(self) -> Rewritten:
        """The same function with as much as possible moved into the layer before it."""
        return Rewritten(self)

    def negated(self) -> "Scale | None":
        """−σ as a scale function of this module; None if there is none."""
        return None


def _require(condition: bool, scale: Scale) -> None:
    numbers = [value for value in vars(scale).values() if isinstance(value, Real)]
    if not (condition and all(map(math.isfinite, numbers))):
        raise ConfigError(f"{scale} is not a scale function: a parameter is out of range")


@dataclass(frozen=True)
class Exp(Scale):
    """σ = u: the original R-NVP (Dinh, Sohl-Dickstein and Bengio 2017), unbounded."""

    odd: ClassVar[bool] = True
    zero_at_zero: ClassVar[bool] = True

    def __call__(self, u: Tensor) -> Tensor:
        return u

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        yield cls()


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

    @classmethod
    def examples(cls) -> tuple[Scale, ...]:
        return cls(), cls(2.0, 2.0)

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        for bound in _bound(at):
            yield cls(bound)
            yield cls(bound, width=bound)

    def rewritten(self) -> Rewritten:
        return Rewritten(replace(self, width=1.0), gain=1 / self.width)


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

    @classmethod
    def examples(cls) -> tuple[Scale, ...]:
        return cls(), cls(2.0)

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        for _ in _bound(at):
            if (at_one := at(1.0)) > 0:
                yield cls(tidy(at_one / (0.636 * math.pi / 4)))


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

    @classmethod
    def examples(cls) -> tuple[Scale, ...]:
        return cls(), cls(2.0)

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        yield from map(cls, _bound(at))

    def rewritten(self) -> Rewritten:
        return Rewritten(Tanh(self.bound), gain=0.5)


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

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        yield from map(cls, (1e-3, 1e-4))
        if 0.01 < (at_one := at(1.0)) < 0.99:  # σ(1) = 1 / (1 + 1/|log slope|)
            yield cls(tidy(math.exp(-at_one / (1 - at_one))))


@dataclass(frozen=True)
class LogSigmoid(Scale):
    """σ = sign · log sigmoid(u + shift)."""

    sign: float = 1.0
    shift: float = 2.0

    def __post_init__(self) -> None:
        _require(self.sign in (1, -1), self)

    def __call__(self, u: Tensor) -> Tensor:
        return _times(self.sign, _log_sigmoid(_plus(self.shift, u)))

    @classmethod
    def examples(cls) -> tuple[Scale, ...]:
        return cls(), cls(-1.0), cls(shift=0.0)

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        for sign in (1.0, -1.0):
            yield cls(sign)
            yield cls(sign, shift=0.0)

    def rewritten(self) -> Rewritten:
        return Rewritten(replace(self, shift=0.0), shift=self.shift)

    def negated(self) -> Self:
        return replace(self, sign=-self.sign)


@dataclass(frozen=True)
class LogSigmoidPlus(Scale):
    """σ = log(sigmoid(u + shift) + eps) (the default of nflows)."""

    eps: float = 1e-3
    shift: float = 2.0

    def __post_init__(self) -> None:
        _require(self.eps >= 0, self)

    def __call__(self, u: Tensor) -> Tensor:
        return torch.log(torch.exp(_log_sigmoid(_plus(self.shift, u))) + self.eps)

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        yield cls()

    def rewritten(self) -> Rewritten:
        return Rewritten(replace(self, shift=0.0), shift=self.shift)


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

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        yield cls()


@dataclass(frozen=True)
class Clip(Scale):
    """σ = clip(u, low, high) (pyro)."""

    low: float = -5.0
    high: float = 3.0

    def __post_init__(self) -> None:
        _require(self.low < self.high, self)

    def __call__(self, u: Tensor) -> Tensor:
        return torch.clamp(u, self.low, self.high)

    @classmethod
    def candidates(cls, at: Callable[[float], float]) -> Iterator[Scale]:
        # exp of more than _UNBOUNDED is infinite, so that a function may have one bound alone.
        low, high = max(tidy(at(-_FAR)), -_UNBOUNDED), min(tidy(at(_FAR)), _UNBOUNDED)
        if low < high:
            yield cls(low, high)


@dataclass(frozen=True)
class Centred(Scale):
    """σ = inner(u) − its mean over the k coordinates: Σσ = 0, a coupling that preserves volume.

    General incompressible-flow networks (GIN): Sorrenson, Rother and Köthe 2020.
    """

    inner: Scale = Tanh()
    odd: ClassVar[bool] = False
    zero_at_zero: ClassVar[bool] = True

    def __call__(self, u: Tensor) -> Tensor:
        sigma = self.inner(u)
        return sigma - sigma.mean(-1, keepdim=True)

    @classmethod
    def examples(cls) -> tuple[Scale, ...]:
        return cls(), cls(LogSoftplus())


SCALES: dict[str, type[Scale]] = {
    "exp": Exp,
    "log_sigmoid": LogSigmoid,
    "log_sigmoid_plus": LogSigmoidPlus,
    "log_softplus": LogSoftplus,
    "clip": Clip,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "atan": Atan,
    "soft_clip": SoftClip,
    "centred": Centred,
}
"""The scale functions, by name. Recognition tries them in this order."""


def parse_scale(text: str) -> Scale:
    """The scale function that a user wrote: ``tanh``, or ``tanh:2`` for its first parameter.

    Case and underscores do not matter.

    Raises:
        ConfigError: there is no such scale function, or its parameter is out of range.
    """
    name, _, number = text.partition(":")
    kinds = {known.replace("_", ""): kind for known, kind in SCALES.items()}
    kind = kinds.get(name.lower().replace("_", "").strip())
    try:
        if kind is None or (number and kind is Centred):
            raise ValueError
        return kind(*([float(number)] if number else []))
    except (ValueError, TypeError, ConfigError):
        raise ConfigError(
            f"{text!r} is not a scale function; expected one of {', '.join(SCALES)}, or one with "
            "its first parameter, such as tanh:2"
        ) from None


def tidy(number: float) -> float:
    """``number``, or the short decimal that differs from it only in its last bits."""
    short = float(f"{number:.12g}")
    return short if math.isclose(short, number, rel_tol=8e-16) else number


def _bound(at: Callable[[float], float]) -> Iterator[float]:
    """The bound of a function between −bound and bound; nothing if there is none."""
    low, high = tidy(at(-_FAR)), tidy(at(_FAR))
    if low < 0 < high and math.isfinite(high - low):
        yield high


def _times(factor: float, values: Tensor) -> Tensor:
    return values if factor == 1.0 else values * factor


def _plus(shift: float, values: Tensor) -> Tensor:
    return values if shift == 0.0 else values + shift


def _log_sigmoid(v: Tensor) -> Tensor:
    return -torch.relu(-v) - _log1p(torch.exp(-torch.abs(v)))


def _log1p(e: Tensor) -> Tensor:
    """log(1 + e) for 0 ≤ e ≤ 1, accurate for small e.

    ONNX has no Log1p. The rounding error of 1 + e is known exactly; it is added back to first
    order: log(w + r) = log w + r/w + O(r²), where w is the rounded sum and r = e − (w − 1).
    """
    w = e + 1.0
    return torch.log(w) + (e - (w - 1.0)) / w
