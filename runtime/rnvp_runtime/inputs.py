"""What a caller may pass as rows: arrays of any kind, lists, and data frames by column name.

`rows_of` checks its argument and returns a view, which converts a block of rows at a time to the
flow's dtype. A large float64 array is therefore never copied as a whole.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnvp_runtime.column_names import explain_missing, repeated_names
from rnvp_runtime.errors import InputError
from rnvp_runtime.frame_columns import frame_column, panics_as_errors

__all__ = ["Rows", "is_frame", "rows_of", "shape_of"]


class Rows(Protocol):
    """Rows of numbers, read in blocks."""

    def __len__(self) -> int:
        """The number of rows."""

    def block(self, low: int, high: int) -> NDArray[Any]:
        """Rows ``low`` ... ``high - 1``: (high - low, width), contiguous, in the flow's dtype."""


class _Matrix:
    """Rows of one array."""

    def __init__(self, matrix: NDArray[Any], dtype: DTypeLike) -> None:
        self._matrix, self._dtype = matrix, dtype

    def __len__(self) -> int:
        return len(self._matrix)

    def block(self, low: int, high: int) -> NDArray[Any]:
        part = self._matrix[low:high]
        if part.dtype == self._dtype:
            return np.ascontiguousarray(part)
        with np.errstate(over="ignore"):  # beyond float32's range is infinity, as in any cast
            return part.astype(self._dtype, order="C")


class _Columns:
    """Rows of equally long 1-d arrays."""

    def __init__(self, columns: Sequence[NDArray[Any]], rows: int, dtype: DTypeLike) -> None:
        self._columns, self._rows, self._dtype = columns, rows, dtype

    def __len__(self) -> int:
        return self._rows

    def block(self, low: int, high: int) -> NDArray[Any]:
        out = np.empty((high - low, len(self._columns)), dtype=self._dtype)
        with np.errstate(over="ignore"):
            for i, column in enumerate(self._columns):
                out[:, i] = column[low:high]
        return out


def is_frame(values: Any) -> bool:
    """Whether ``values`` is a table with named columns (pandas, polars, pyarrow)."""
    kind = type(values)  # not the value: polars warns if a lazy frame's columns are read
    return hasattr(kind, "columns") and hasattr(kind, "__getitem__")


def rows_of(values: Any, name: str, columns: Sequence[str], dtype: DTypeLike) -> Rows:
    """Rows of ``len(columns)`` numbers out of ``values``.

    Args:
        values: (n, len(columns)) array-like of float, integer or bool, or a data frame, whose
            columns are found by name.
        name: what the caller calls it, for errors.
        columns: names.
        dtype: float32 or float64.

    Raises:
        InputError: the rank or width is another, the dtype is not numeric, or a column is
            missing.
    """
    return (
        _frame_rows(values, name, columns, dtype)
        if is_frame(values)
        else _Matrix(_checked(_array(values, name), name, len(columns)), dtype)
    )


def shape_of(values: Any) -> tuple[int, ...] | None:
    """The shape of an array-like; None if it has none, which `rows_of` reports."""
    try:
        with panics_as_errors():
            return np.asarray(values).shape
    except Exception:  # as `rows_of` catches it
        return None


def _array(values: Any, name: str) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "fiub":
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    try:
        with panics_as_errors():
            return np.asarray(values)
    except MemoryError:
        raise
    except Exception as error:  # ragged lists; tensors of autograd; what other libraries raise
        reason = " ".join(str(error).split())
        raise InputError(f"{name} cannot be read as an array: {reason}") from None


def _checked(array: NDArray[Any], name: str, width: int) -> NDArray[Any]:
    if array.ndim == 2 and array.shape[1] == width and array.dtype.kind in "fiub":
        return array
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"{name} has dtype {array.dtype}, expected numbers: pass floats or integers of shape "
            f"(n, {width}), or a data frame"
        )
    columns = "flow.context_columns" if name == "context" else "flow.columns"
    advice = f"pass columns in the order of {columns}, {width} in all"
    if array.ndim == 1 and len(array) == width and width > 1:
        advice = f"pass {name}[None] for a single row"
    elif array.ndim == 1 and width == 1:
        advice = f"pass {name}[:, None]"
    raise InputError(f"{name} has shape {array.shape}, expected (n, {width}): {advice}")


def _frame_rows(frame: Any, name: str, columns: Sequence[str], dtype: DTypeLike) -> _Columns:
    rows = getattr(frame, "shape", [None])[0]
    if not isinstance(rows, int):  # polars.LazyFrame, dask, Spark
        raise InputError(
            f"{name} is a {type(frame).__name__} whose rows are not in memory yet: pass what its "
            "collect(), compute() or toPandas() returns"
        )
    present = list(getattr(frame, "column_names", None) or frame.columns)
    labels = {str(label): label for label in present}  # pandas numbers columns that have no name
    if len(labels) < len(present):
        again = set(repeated_names([*map(str, present)]))
        if twice := [column for column in columns if column in again]:
            raise InputError(f"{name} has more than one column {twice[0]!r}: rename one")
    if missing := explain_missing(columns, list(labels)):
        raise InputError(f"{name} has {missing}")
    arrays = [frame_column(frame[labels[column]], name, column) for column in columns]
    return _Columns(arrays, rows, dtype)
