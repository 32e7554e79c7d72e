"""Numbers of rows on the command line, which users write as 1e9."""

from decimal import Decimal, InvalidOperation
from typing import Any

import click

__all__ = ["WholeNumber"]

_MOST_DIGITS = 30


class WholeNumber(click.IntRange):
    """An integer in a range, which may be written as 1000000, 1_000_000 or 1e6."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse ``value``.

        Raises:
            click.BadParameter: it is not an integer, or out of range.
        """
        try:
            number = Decimal(value)
        except (InvalidOperation, TypeError, ValueError):
            return super().convert(value, param, ctx)
        if number.is_finite() and number.adjusted() < _MOST_DIGITS and number == int(number):
            value = int(number)
        return super().convert(value, param, ctx)
