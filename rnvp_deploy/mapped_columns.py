"""How each column of the data is mapped before the flow learns it: log, logit, dequantisation.

    column_maps(("price", "share", "n_hits"), log=["price"], logit=["share"], integer=["n_hits"])

A density on R^d gives mass to negative prices, to shares above 1 and to 2.5 hits. A density of the
mapped columns does not.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.field_types import refuse_mistyped
from rnvp_deploy.plain_values import make_plain

__all__ = ["ColumnFunction", "ColumnMap", "column_maps"]

ColumnFunction = Literal["identity", "log", "logit"]


@dataclass(frozen=True)
class ColumnMap:
    """The map of one column.

    With y the value, or for an integer the value + ½:

        identity  z = y                               any y
        log       z = log(y − low)                    low < y
        logit     z = log(y − low) − log(high − y)    low < y < high

    Attributes:
        function: ``identity``, ``log`` or ``logit``.
        low: The lower bound of the domain, in the column's units. ``identity`` has none.
        high: The upper bound of ``logit``.
        integer: The column holds integers. Training adds uniform noise in [0, 1) to them, and the
            inverse rounds down: the samples are integers again (Uria, Murray and Larochelle 2013).

    Raises:
        ConfigError: The function is unknown, or the bounds are not finite, not in order or, for
            integers, not integers.
    """

    function: ColumnFunction = "identity"
    low: float = 0.0
    high: float = 1.0
    integer: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        if self.function not in get_args(ColumnFunction):
            raise ConfigError(
                f"a column's map is {self.function!r}; expected identity, log or logit"
            )
        refuse_mistyped(self, ConfigError)
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ConfigError(f"the bounds of a column are {self.low} and {self.high}, not finite")
        if self.function == "logit" and not self.low < self.high:
            raise ConfigError(f"the bounds of a logit are {self.low} and {self.high}: low < high")
        if self.integer and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ConfigError(
                f"the bounds of an integer column are {self.low} and {self.high}; expected integers"
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """The open interval that y lies in."""
        low = -math.inf if self.function == "identity" else float(self.low)
        return low, float(self.high) if self.function == "logit" else math.inf

    @property
    def is_identity(self) -> bool:
        """Whether it changes no value."""
        return self.function == "identity" and not self.integer

    @property
    def domain(self) -> str:
        """The values of x that have a density, in words."""
        kind = "integers" if self.integer else "values"
        if self.function == "identity":
            return kind
        low, high = self.bounds
        if self.integer:
            return f"integers from {low:g}{f' to {high - 1:g}' if math.isfinite(high) else ''}"
        return f"values above {low:g}{f' and below {high:g}' if math.isfinite(high) else ''}"


def column_maps(
    columns: Sequence[str],
    *,
    log: Collection[str] | Mapping[str, float] = (),
    logit: Collection[str] | Mapping[str, tuple[float, float]] = (),
    integer: Collection[str] = (),
) -> tuple[ColumnMap, ...]:
    """The maps of named columns, for ``RNVPConfig(elementwise=...)``.

    Args:
        columns: The names of all columns, in the flow's order.
        log: Columns of values above 0; or a mapping from a column to its lower bound.
        logit: Columns of values in (0, 1); or a mapping from a column to its bounds.
        integer: Columns of integers. They may be in ``log`` or ``logit`` too.

    Returns:
        One map for each column; an empty tuple if no column is named.

    Raises:
        ConfigError: A name is not in ``columns``, or is in both ``log`` and ``logit``.

    Example:
        >>> [column.function for column in column_maps(("a", "b"), log={"b": -1.0})]
        ['identity', 'log']
    """
    if unknown := [name for name in (*log, *logit, *integer) if name not in columns]:
        raise ConfigError(f"column {unknown[0]!r} is to be mapped, but is not learnt")
    if both := [name for name in log if name in logit]:
        raise ConfigError(f"column {both[0]!r} is in both log and logit; expected one of them")

    def of(name: str) -> ColumnMap:
        if name in log:
            low = log[name] if isinstance(log, Mapping) else 0.0
            return ColumnMap("log", low, integer=name in integer)
        if name in logit:
            low, high = logit[name] if isinstance(logit, Mapping) else (0.0, 1.0)
            return ColumnMap("logit", low, high, integer=name in integer)
        return ColumnMap(integer=name in integer)

    return tuple(map(of, columns)) if log or logit or integer else ()
