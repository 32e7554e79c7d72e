"""The elementwise transform of a flow's input: logarithms, logits and dequantisation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.mapped_columns import ColumnMap
from rnvp_deploy.plain_values import make_plain
from rnvp_deploy.transform import Transform

__all__ = ["Elementwise", "ElementwiseSpec"]


@dataclass(frozen=True)
class ElementwiseSpec:
    """The maps of the d columns. In a flow it comes first: its domain is that of the data."""

    columns: tuple[ColumnMap, ...]

    def __post_init__(self) -> None:
        make_plain(self)
        for i, column in enumerate(self.columns):
            if not isinstance(column, ColumnMap):
                raise ConfigError(f"column {i} has the map {column!r}; expected a ColumnMap")

    @property
    def dim(self) -> int:
        """d, the number of columns."""
        return len(self.columns)

    @property
    def rounds(self) -> bool:
        """Whether a column holds integers."""
        return any(column.integer for column in self.columns)


class Elementwise(Transform):
    r"""The module of an ``ElementwiseSpec``. It has no weights.

    With y = x, or x + ½ in an integer column, and l and h the bounds of a column:

        log    z = log(y − l),               log |dz/dx| = −log(y − l)
        logit  z = log(y − l) − log(h − y),  log |dz/dx| = log(h − l) − log(y − l) − log(h − y)

    A row with a value outside its domain has log_det −inf; its z is finite and has no meaning. The
    inverse gives values inside the domain: one that rounds to a bound becomes the closest number
    inside. In an integer column it rounds y down, so ``forward(inverse(z))`` is the z of the middle
    of the integer's interval.
    """

    low: Tensor
    high: Tensor
    lowest: Tensor
    highest: Tensor
    width: Tensor
    log_width: Tensor
    offset: Tensor
    is_log: Tensor
    is_logit: Tensor
    is_identity: Tensor
    is_integer: Tensor
    has_low: Tensor
    has_high: Tensor

    def __init__(self, spec: ElementwiseSpec) -> None:
        super().__init__()
        self.spec = spec
        functions = [column.function for column in spec.columns]
        self.takes_log, self.takes_logit = "log" in functions, "logit" in functions
        self.rounds = spec.rounds
        self.has_unit_width = all(
            column.high - column.low == 1 for column in spec.columns if column.function == "logit"
        )
        for name in ("identity", "log", "logit"):
            self._constant(f"is_{name}", torch.tensor([function == name for function in functions]))
        self._constant("is_integer", torch.tensor([column.integer for column in spec.columns]))
        lows, highs = zip(*(column.bounds for column in spec.columns), strict=True)
        self._constant("has_low", torch.tensor([math.isfinite(low) for low in lows]))
        self._constant("has_high", torch.tensor([math.isfinite(high) for high in highs]))
        self._set_numbers(torch.get_default_dtype())

    def _constant(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def _set_numbers(self, dtype: torch.dtype) -> None:
        """Round the bounds to ``dtype``, and find the numbers next to them.

        The largest number replaces infinity: a bundle's constants are finite.
        """
        device = self.is_integer.device
        bounds = torch.tensor(
            [column.bounds for column in self.spec.columns], dtype=torch.float64, device=device
        )
        largest = torch.finfo(dtype).max
        low, high = bounds.clamp(-largest, largest).to(dtype).reshape(-1, 2).unbind(1)
        tiny = torch.finfo(dtype).tiny  # smaller numbers are 0 in some engines
        width = torch.where(self.is_logit, high - low, torch.ones_like(low))
        numbers = {
            "low": low,
            "high": high,
            "lowest": torch.maximum(torch.nextafter(low, high), low + tiny),
            "highest": torch.minimum(torch.nextafter(high, low), high - tiny),
            "width": width,
            "log_width": torch.log(width),
            "offset": 0.5 * self.is_integer.to(dtype),
        }
        for name, value in numbers.items():
            self._constant(name, value)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "Elementwise":
        """Move to another dtype or device: the bounds are rounded again from the spec."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._set_numbers(self.low.dtype)
        return self

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y = x + self.offset if self.rounds else x
        if not (self.takes_log or self.takes_logit):
            return y, x.new_zeros(x.shape[0])  # len() would fix the rows of a traced graph
        outside = (y <= self.low) | (y >= self.high)
        # 1 replaces the values that are not mapped, so that no gradient is NaN.
        z = torch.log(torch.where(outside | self.is_identity, 1.0, y - self.low))
        slope = -z
        if self.takes_logit:
            above = torch.log(torch.where(outside | ~self.is_logit, 1.0, self.high - y))
            z, slope = z - above, slope - above + self.log_width
        # log(0), and not the constant −inf: a bundle's constants are finite.
        log_det = (slope + torch.log((~outside).to(slope.dtype))).sum(1)
        return torch.where(self.is_identity, y, z), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        y = z
        if self.takes_log:
            y = torch.where(self.is_log, torch.exp(self._only(self.is_log, z)) + self.low, y)
        if self.takes_logit:
            u = self._only(self.is_logit, z)
            e = torch.exp(-torch.abs(u))
            from_bound = self.width * (e / (1.0 + e))  # the distance from the closer bound
            inner = torch.where(u < 0.0, self.low + from_bound, self.high - from_bound)
            y = torch.where(self.is_logit, inner, y)
        if self.takes_log or self.takes_logit:
            y = torch.where((y <= self.low) & self.has_low, self.lowest, y)
            y = torch.where((y >= self.high) & self.has_high, self.highest, y)
        return torch.where(self.is_integer, torch.floor(y), y) if self.rounds else y

    def inverse_log_det(self, z: Tensor) -> Tensor:
        """log |det dy/dz| (n,) at z (n, d), before y is rounded.

        It is exact where y is so close to a bound that ``forward(inverse(z))`` loses digits.
        """
        terms = []
        if self.takes_log:
            terms.append(self._only(self.is_log, z).sum(1))
        if self.takes_logit:
            u = torch.abs(z)
            slope = -u - 2.0 * torch.log(1.0 + torch.exp(-u))
            slope = slope if self.has_unit_width else slope + self.log_width
            terms.append(self._only(self.is_logit, slope).sum(1))
        return sum(terms[1:], start=terms[0]) if terms else z.new_zeros(z.shape[0])

    def _only(self, columns: Tensor, values: Tensor) -> Tensor:
        """``values``, with 0 in other columns: an unused value must not overflow."""
        return torch.where(columns, values, 0.0)

    def outside(self, x: Tensor) -> Tensor:
        """(n, d): which values have no density, because they lie outside or are not integers."""
        y = x + self.offset
        return (y <= self.low) | (y >= self.high) | (self.is_integer & (x != torch.floor(x)))

    def noise(self, rows: int, generator: torch.Generator) -> Tensor:
        """(rows, d) uniform in (−½, ½) in integer columns, 0 in the others.

        ``forward(x + noise)`` maps y = x + u with u uniform in [0, 1): dequantisation.
        """
        dtype, device = self.offset.dtype, self.offset.device
        u = torch.rand(rows, self.spec.dim, generator=generator, dtype=dtype)
        # u = 0 lies on the bound of a log whose lower bound is the integer.
        return torch.where(self.is_integer, u.to(device).clamp(min=2.0**-20) - 0.5, 0.0)
