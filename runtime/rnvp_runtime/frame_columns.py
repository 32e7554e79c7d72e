"""Columns of data frames (pandas, polars, pyarrow) as numbers, as a table on disk gives them."""

import importlib
import numbers
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import InputError, TableError

__all__ = ["frame_column", "panics_as_errors", "with_index_of"]


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """A panic of a library in Rust is a ValueError. polars raises it outside of ``Exception``."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ != "PanicException":
            raise
        raise ValueError(str(error)) from None


def frame_column(series: Any, name: str, column: str) -> NDArray[Any]:
    """The numbers of one column, NaN where a value is missing.

    Decimals, dictionaries of numbers, nullable numbers and Python objects are read. Text is a
    missing value if `rnvp_runtime.tables.SPELLINGS` lists it. Other text is refused, also if it
    looks like a number: which of '1_000', '1,5' and '0x10' are numbers is for the caller to say.

    Args:
        series: the column.
        name: the argument that the data frame is, for errors.
        column: the name of the column.

    Raises:
        InputError: the column holds something else.
    """
    from rnvp_runtime.tables.missing import Missing  # only where a frame is given

    where = f"{name} column {column!r}"
    if _library(type(series)) == "pyarrow":
        from rnvp_runtime.tables.arrow_batch import arrow_numbers

        try:
            return arrow_numbers(series, Missing(), where, 1)
        except (TableError, ValueError, NotImplementedError) as error:
            raise InputError(" ".join(str(error).split())) from None
    array = _array(series)
    if array.ndim == 1 and array.dtype.kind in "OUT":
        return _of_objects(array, Missing(), where)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        kind = " ".join(str(series.dtype).split())[:60]
        raise InputError(f"{where} has dtype {kind}, expected numbers: convert it")
    return array


def _array(series: Any) -> NDArray[Any]:
    """A column of pandas or polars as an array; of objects, if numpy has no such type."""
    try:
        with panics_as_errors():
            array = np.asarray(series.to_numpy())
    except Exception:  # such as polars' own for Int128
        array = np.fromiter(series, object, len(series))
    if array.dtype.kind == "O" and getattr(series.dtype, "kind", "O") in "fiub":  # pandas and NA
        return np.asarray(series.to_numpy(dtype="float64", na_value=np.nan))
    return array


def _of_objects(values: NDArray[Any], missing: Any, where: str) -> NDArray[np.float64]:
    kinds = set(map(type, values))
    numeric = {kind for kind in kinds if issubclass(kind, numbers.Real | Decimal | np.bool_)}
    if kinds <= numeric | {NoneType}:
        with suppress(Exception):  # the loop, which takes longer, names the row
            return values.astype(np.float64)
    out = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        fault = None
        if type(value) in numeric:
            try:
                out[i] = float(value)
            except Exception:  # as 10**400, Decimal("sNaN") and classes of the user do
                fault = "a number that float64 does not have: correct it"
        elif value is not None and not missing.matches(_text(value)):  # pandas' NA is "<NA>"
            fault = f"{type(value).__name__}, not a number: convert the column"
        if fault:
            raise InputError(f"{where}, row {i + 1}: {_text(value)[:40]!r} is {fault}")
    return out


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # a whole number of thousands of digits, or a class of the user
        return type(value).__name__


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
