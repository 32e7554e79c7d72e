"""The numbers that a caller passes to ``fit``, with the names of their columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.training.data_warnings import say_columns
from rnvp_runtime.errors import InputError
from rnvp_runtime.inputs import is_frame, rows_of
from rnvp_runtime.tables import describe_gaps, rows_with_gaps

__all__ = ["Table", "read_table", "refuse_gaps"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Finite numbers in float64, and the column names that the flow gets.

    Attributes:
        x: (n, d).
        context: (n, c), or None for an unconditional flow.
        columns: d names.
        context_columns: c names.
    """

    x: Array
    context: Array | None
    columns: tuple[str, ...]
    context_columns: tuple[str, ...]


def read_table(flow: RNVP, x: Any, context: Any = None) -> Table:
    """Read arrays, tensors, or data frames by column name.

    If the flow has its default column names (x0, x1, ...; c0, c1, ...) and a data frame does not
    have them, the names of the data frame are used.

    Args:
        flow: Gives the widths and the column names. It is not changed.
        x: (n, d), or a data frame with ``flow.columns``.
        context: (n, c), or a data frame with ``flow.context_columns``. Default: those columns of
            ``x``, if ``x`` is a data frame.

    Raises:
        InputError: The width is wrong, a column is missing, or a value is not a number.
        TrainingError: A value is NaN or infinite (row numbers start at 1); or the context has
            another length, is missing, or was given to an unconditional flow.
    """
    if context is not None and not flow.context_dim:
        raise TrainingError("a context was given, but the flow is unconditional")
    if context is None and flow.context_dim:
        if not is_frame(x):
            raise TrainingError(f"this flow needs a context of {flow.context_dim} columns")
        context, columns = x, flow.columns
        context_columns = flow.context_columns
    else:
        columns = _names(x, "x", flow.columns)
        context_columns = _names(context, "context", flow.context_columns)
    if both := set(columns) & set(context_columns):
        raise InputError(f"column {min(both)!r} is in x and in the context")
    values = _numbers(x, "x", columns)
    if context is None:
        return Table(values, None, columns, ())
    conditions = _numbers(context, "context", context_columns)
    if len(conditions) != len(values):
        raise TrainingError(f"x has {len(values)} rows, but the context has {len(conditions)}")
    return Table(values, conditions, columns, context_columns)


def refuse_gaps(
    values: NDArray[np.floating],
    where: str,
    columns: Sequence[str],
    remedy: str = "correct or remove them",
) -> None:
    """Refuse NaN and infinities in ``values`` (n, k).

    Args:
        values: (n, k).
        where: The file or argument that the values came from, for the message.
        columns: The k column names, for the message.
        remedy: What to do, for the message.

    Raises:
        TrainingError: Names the columns and the first rows, counted from 1.
    """
    rows = rows_with_gaps(values)
    if rows:
        finite = np.isfinite(values).all(axis=0)
        names = [name for name, good in zip(columns, finite, strict=True) if not good]
        raise TrainingError(f"{where}: {describe_gaps(rows)} (in {say_columns(names)}): {remedy}")


def _numbers(values: Any, name: str, columns: Sequence[str]) -> Array:
    rows = rows_of(values, name, columns, np.float64)
    numbers = rows.block(0, len(rows))
    refuse_gaps(numbers, name, columns)
    return numbers


def _names(values: Any, name: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The flow's names ``wanted``, or those of a data frame that has others."""
    if values is None or not is_frame(values):
        return wanted
    rows_of(values, name, (), np.float64)  # raises if the rows are not in memory yet
    present = [str(label) for label in getattr(values, "column_names", None) or values.columns]
    default = tuple(f"{name[0]}{i}" for i in range(len(wanted)))
    if wanted != default or set(wanted) <= set(present):
        return wanted
    numeric = present if len(present) == len(wanted) else _numeric(values, name, present)
    if len(numeric) == len(wanted):
        return tuple(numeric)
    raise InputError(
        f"{name} has {len(numeric)} columns of numbers, expected {len(wanted)}: pass only the "
        "columns to learn, or make the flow with their names, RNVP(config, columns)"
    )


def _numeric(frame: Any, name: str, present: Sequence[str]) -> list[str]:
    """The names of the columns that hold numbers."""
    names = []
    for column in present:
        try:
            rows_of(frame, name, (column,), np.float64)
        except InputError:
            continue
        names.append(column)
    return names
