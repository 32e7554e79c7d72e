"""Columns of data frames (pandas, polars, pyarrow) as numbers, as a table on disk gives them."""

import importlib
import numbers
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import InputError, TableError

__all__ = ["frame_column", "with_index_of"]


def frame_column(series: Any, name: str, column: str) -> NDArray[Any]:
    """The numbers of one column, NaN where a value is missing.

    Decimals, dictionaries of numbers, nullable numbers and Python objects are read. Text is a
    missing value if `rnvp_runtime.tables.SPELLINGS` lists it.

    Args:
        series: the column.
        name: the argument that the data frame is, for errors.
        column: the name of the column.

    Raises:
        InputError: the column holds something else, or the name is that of several columns.
    """
    from rnvp_runtime.tables.missing import Missing  # only where a frame is given

    where = f"{name} column {column!r}"
    if _library(type(series)) == "pyarrow":
        from rnvp_runtime.tables.arrow_batch import arrow_numbers

        try:
            return arrow_numbers(series, Missing(), where, 1)
        except (TableError, ValueError, NotImplementedError) as error:
            raise InputError(" ".join(str(error).split())) from None
    array = np.asarray(series.to_numpy())
    if array.ndim != 1:
        raise InputError(f"{name} has more than one column {column!r}")
    if array.dtype.kind == "O" and hasattr(series, "astype"):  # pandas' nullable numbers
        with suppress(ValueError, TypeError):
            array = np.asarray(series.to_numpy(dtype="float64", na_value=np.nan))
    if array.dtype.kind in "OUT":
        return _of_objects(array, Missing(), where)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where} has dtype {array.dtype}, expected numbers: convert it")
    return array


def _of_objects(values: NDArray[Any], missing: Any, where: str) -> NDArray[np.float64]:
    out = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        if isinstance(value, numbers.Real | Decimal | np.bool_):
            out[i] = float(value)
        elif value is not None and not missing.matches(str(value)):  # pandas' NA is "<NA>"
            raise InputError(
                f"{where}, row {i + 1}: {str(value)[:40]!r} is {type(value).__name__}, not a "
                "number: convert the column"
            )
    return out


def with_index_of(frame: Any, values: NDArray[Any], name: str) -> Any:
    """``values``, (n,); as a Series with the index of ``frame`` if that is a pandas DataFrame.

    The class of ``frame`` tells. Nothing is looked up in `sys.modules`: another thread, in which
    pyarrow imports pandas, puts a module there that has no names yet.
    """
    if not any(
        kind.__name__ == "DataFrame" and _library(kind) == "pandas" for kind in type(frame).__mro__
    ):
        return values
    return importlib.import_module("pandas").Series(values, index=frame.index, name=name)


def _library(kind: type) -> str:
    """The name of the package that defines a class."""
    return kind.__module__.partition(".")[0]
