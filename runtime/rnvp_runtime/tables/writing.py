"""Writing tables: CSV, Parquet and ``.npy``, a batch at a time, whole or not at all."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import numpy as np

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.publishing import publish_file
from rnvp_runtime.tables.table import Column

__all__ = ["WRITABLE", "Writer", "check_writable", "open_writer"]

WRITABLE = (".csv", ".tsv", ".parquet", ".npy")


class Writer(Protocol):
    """A table being written."""

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append rows: equally long columns, with the same names and kinds every time."""


def check_writable(path: str | PathLike[str]) -> None:
    """Refuse a path that `open_writer` would refuse, before the work that would be lost.

    Raises
    ------
    TableError
        Its suffix is none that can be written.
    MissingExtraError
        It is Parquet, and pyarrow is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        raise TableError(f"cannot write {path}: name it one of {', '.join(WRITABLE)}")
    if suffix == ".parquet":
        import_extra("pyarrow")


@contextmanager
def open_writer(
    path: str | PathLike[str] | None, *, delimiter: str = ",", vector: bool = False
) -> Iterator[Writer]:
    """A writer for ``path``, by its suffix; the file takes its place when the block ends.

    Parameters
    ----------
    path : .csv, .tsv, .parquet or .npy; None is CSV on standard output
    delimiter : str
        Between the cells of a CSV file; a ``.tsv`` has tabs.
    vector : bool
        A ``.npy`` of one column has shape (n,) rather than (n, 1).

    Raises
    ------
    TableError, MissingExtraError
        As `check_writable` and `rnvp_runtime.publishing.publish_file` do.
    """
    if path is None:
        with _text(sys.stdout.buffer) as stream:
            yield CsvWriter(stream, delimiter)
        return
    check_writable(path)
    suffix = Path(path).suffix.lower()
    with publish_file(path, error=TableError) as file:
        if suffix == ".npy":
            matrix = NpyWriter(file, vector)
            yield matrix
            matrix.finish()
        elif suffix == ".parquet":
            parquet = ParquetWriter(file)
            try:
                yield parquet
            finally:  # or pyarrow would close it later, when the file is gone
                parquet.finish()
        else:
            with _text(file) as stream:
                yield CsvWriter(stream, "\t" if suffix == ".tsv" else delimiter)


class CsvWriter:
    """CSV in UTF-8. Text is written as it is, numbers in the fewest digits that give them back."""

    def __init__(self, stream: TextIO, delimiter: str) -> None:
        self._out = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        self._started = False

    def write(self, columns: Mapping[str, Column]) -> None:
        if not self._started:
            self._out.writerow(columns)
            self._started = True
        self._out.writerows(zip(*map(_as_text, columns.values()), strict=True))


class NpyWriter:
    """One matrix, (n, columns), whose header is written again once n is known."""

    def __init__(self, file: BinaryIO, vector: bool) -> None:
        self._file, self._vector = file, vector
        self._rows, self._width = 0, 0
        self._dtype: np.dtype[Any] = np.dtype(np.float64)

    def write(self, columns: Mapping[str, Column]) -> None:
        matrix = np.stack([np.asarray(column) for column in columns.values()], axis=1)
        if not self._width:
            self._width, self._dtype = matrix.shape[1], matrix.dtype
            self._header()
        self._rows += len(matrix)
        self._file.write(np.ascontiguousarray(matrix, dtype=self._dtype).data)

    def finish(self) -> None:
        """Put the number of rows into the header."""
        self._file.seek(0)
        self._header()

    def _header(self) -> None:
        # numpy pads a header so that the first axis can grow in place (GROWTH_AXIS_MAX_DIGITS).
        shape = (self._rows,) if self._vector and self._width == 1 else (self._rows, self._width)
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": self._dtype.str, "fortran_order": False, "shape": shape},
        )


class ParquetWriter:
    """Parquet, one row group a batch. Columns of text stay text, pyarrow's keep their type."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._arrow = file, import_extra("pyarrow")
        self._out: Any = None

    def write(self, columns: Mapping[str, Column]) -> None:
        table = self._arrow.table(dict(columns))
        if self._out is None:
            self._out = import_extra("pyarrow.parquet").ParquetWriter(self._file, table.schema)
        self._out.write_table(table)

    def finish(self) -> None:
        """Write the footer."""
        if self._out is not None:
            self._out.close()


@contextmanager
def _text(file: Any) -> Iterator[TextIO]:
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        yield stream
        stream.flush()
    finally:
        stream.detach()


def _as_text(column: Column) -> list[Any]:
    if isinstance(column, np.ndarray):
        return list(map(str, column))
    if hasattr(column, "to_pylist"):  # of pyarrow; None, written as an empty cell, is its null
        try:
            return column.cast("string").to_pylist()  # type: ignore[no-any-return]
        except (NotImplementedError, ValueError):  # what pyarrow raises for a list or a struct
            raise TableError(
                f"a column of type {column.type} has no text: write a .parquet"
            ) from None
    return list(column)
