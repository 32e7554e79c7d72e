"""How the values of command-line options are parsed."""

import csv
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rnvp_deploy.scales import Scale

__all__ = ["WholeNumber", "column_names", "layer_widths", "scale_function"]

_MOST_DIGITS = 30


class WholeNumber(click.IntRange):
    """An integer in a range, which may be written as 1000000, 1_000_000 or 1e6."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse ``value``.

        Raises:
            click.BadParameter: It is not an integer, or out of range.
        """
        try:
            number = Decimal(value)
        except (InvalidOperation, TypeError, ValueError):
            return super().convert(value, param, ctx)
        if number.is_finite() and number.adjusted() < _MOST_DIGITS and number == int(number):
            value = int(number)
        return super().convert(value, param, ctx)


def column_names(value: str) -> tuple[str, ...]:
    """``carat, depth`` → ("carat", "depth"). A name that contains a comma is quoted, as in CSV."""
    names = tuple(name.strip() for name in next(csv.reader([value], skipinitialspace=True), []))
    if not names or not all(names) or len(set(names)) != len(names):
        raise click.BadParameter(f"{value!r} is not a list of different names, such as carat,depth")
    return names


def layer_widths(value: str) -> tuple[int, ...]:
    """``64,64`` → (64, 64)."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of widths, such as 64,64")
    return tuple(int(part) for part in parts)


def scale_function(value: str) -> "Scale":
    """``tanh`` → Tanh(); ``tanh:2`` → Tanh(2.0): see ``rnvp_deploy.scales.parse_scale``.

    This imports PyTorch, so it is called after the options are parsed and not as their type.
    """
    from rnvp_deploy.errors import ConfigError
    from rnvp_deploy.scales import parse_scale

    try:
        return parse_scale(value)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="--scale") from None
