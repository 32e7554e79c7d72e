"""Warnings about the columns of a table, and the options that they ask for."""

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["DataWarning", "WarningKind", "say_columns", "suggested_options"]

WarningKind = Literal[
    "few rows",
    "constant",
    "copy",
    "one-hot",
    "linear",
    "integer",
    "few values",
    "repeated value",
    "unit interval",
    "positive",
    "heavy tail",
    "offset",
]

_LISTED = 8  # column names in one message


@dataclass(frozen=True)
class DataWarning:
    """Columns of one degenerate kind.

    Attributes:
        kind: What is wrong with them.
        columns: Their names.
        message: One line: what was found, what it does to the density, and what to do.
        option: The option of ``rnvp-train`` that helps, such as ``--log``; empty if there is none.
        option_columns: The columns to give to that option.
    """

    kind: WarningKind
    columns: tuple[str, ...]
    message: str
    option: str = ""
    option_columns: tuple[str, ...] = ()


def suggested_options(warnings: Sequence[DataWarning]) -> str:
    """The options of ``rnvp-train`` that the warnings ask for, ready for a shell.

    Example:
        ``--log price --logit share --integer n_hits``, or an empty string.
    """
    chosen: dict[str, list[str]] = {}
    for warning in warnings:
        if warning.option:
            names = chosen.setdefault(warning.option, [])
            names += [name for name in warning.option_columns if name not in names]
    return " ".join(
        f"{option} {_option_value(names)}" if names else option for option, names in chosen.items()
    )


def say_columns(names: Sequence[str], details: Sequence[str] = ()) -> str:
    """``column 'a'``, or ``columns 'a', 'b' and 3 more``; a detail in brackets after each name."""
    shown = [
        f"{name!r}{f' ({details[i]})' if details else ''}" for i, name in enumerate(names[:_LISTED])
    ]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"column{'s' if len(names) > 1 else ''} {', '.join(shown)}{more}"


def _option_value(names: Sequence[str]) -> str:
    """Names as one option's value: a line of CSV, quoted for a shell."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return shlex.quote(line.getvalue())
