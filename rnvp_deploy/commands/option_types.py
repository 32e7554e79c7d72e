"""How the values of command-line options are parsed."""

import csv
from typing import TYPE_CHECKING

import click

from rnvp_runtime.terminal.whole_number import WholeNumber

if TYPE_CHECKING:
    from rnvp_deploy.scales import Scale

__all__ = ["WholeNumber", "column_names", "layer_widths", "scale_function"]


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
