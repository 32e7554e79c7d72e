"""CSV: UTF-8, separated by comma, semicolon or tab, with a first line of column names.

Cells are kept as text, so that a table written from this one keeps every column as it was. Only
the columns that are asked for are read as numbers. Rows stay as the csv module gives them: a column
is a view of them, and a table that is written with the same columns writes the rows themselves.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, overload

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing, repeated_names
from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.table import Column, TableFormat, WriteOptions

__all__ = ["CSV", "TSV", "CsvTable", "TextColumn"]


class CsvTable:
    """A CSV file; see `rnvp_runtime.tables.Table`. Blank lines are skipped."""

    rows: int | None = None

    def __init__(self, path: Path, batch_rows: int) -> None:
        self.path, self._batch_rows = path, batch_rows
        with _reading(path) as file:
            self.delimiter = _delimiter(file.readline())
            file.seek(0)
            lines = csv.reader(file, delimiter=self.delimiter)
            self.columns: tuple[str, ...] = tuple(_header(path, next(lines, [])))
            self.width = len(self.columns)
            if not any(lines):
                raise TableError(f"{path} has column names but no rows")

    def __iter__(self) -> Iterator["CsvBatch"]:
        with _reading(self.path) as file:
            lines = csv.reader(file, delimiter=self.delimiter)
            next(lines)
            cells = filter(None, lines)
            first_row = 1
            while rows := list(islice(cells, self._batch_rows)):
                self._check_widths(rows, first_row)
                yield CsvBatch(self, first_row, rows)
                first_row += len(rows)

    def _check_widths(self, rows: list[list[str]], first_row: int) -> None:
        for number, row in enumerate(rows, first_row):
            if len(row) != self.width:
                raise TableError(
                    f"{self.path}: row {number} has {len(row)} cells, the header {self.width}"
                )


class CsvBatch:
    """Consecutive rows of a CSV file; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, table: CsvTable, first_row: int, rows: list[list[str]]) -> None:
        self._table, self.first_row, self._rows = table, first_row, rows

    def __len__(self) -> int:
        return len(self._rows)

    def numeric(self, names: Sequence[str]) -> NDArray[np.float64]:
        path, columns = self._table.path, self._table.columns
        if missing := explain_missing(names, columns):
            raise TableError(f"{path} has {missing}")
        out = np.empty((len(self._rows), len(names)))
        for i, name in enumerate(names):
            at = columns.index(name)
            cells = [row[at] for row in self._rows]
            try:
                out[:, i] = _numbers(cells)
            except ValueError:
                out[:, i] = [
                    _number(cell, f"{path}: column {name!r}, row {row}")
                    for row, cell in enumerate(cells, self.first_row)
                ]
        return out

    def columns(self) -> dict[str, "TextColumn"]:
        return {name: TextColumn(self._rows, i) for i, name in enumerate(self._table.columns)}


class TextColumn(Sequence[str]):
    """One column of a batch of rows of text: a view, nothing is copied."""

    def __init__(self, rows: list[list[str]], position: int) -> None:
        self.rows, self.position = rows, position

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [row[self.position] for row in self.rows[at]]
        return self.rows[at][self.position]

    def __iter__(self) -> Iterator[str]:
        return (row[self.position] for row in self.rows)


@contextmanager
def _reading(path: Path) -> Iterator[TextIO]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError:
        raise TableError(f"{path} is not UTF-8 text: save it as CSV UTF-8") from None
    except csv.Error as error:
        raise TableError(f"{path} cannot be read as CSV: {error}") from None


def _delimiter(line: str) -> str:
    """The separator that splits the first line into most cells; a comma if none does."""
    return max(",;\t", key=lambda mark: len(next(csv.reader([line], delimiter=mark), [])))


def _header(path: Path, cells: list[str]) -> list[str]:
    if not cells:
        raise TableError(f"{path} does not begin with a line of column names: it is empty there")
    if all(_is_number(cell) for cell in cells):
        raise TableError(
            f"{path}: the first line looks like data, not column names: add a line of names"
        )
    if again := repeated_names(cells):
        raise TableError(f"{path} has more than one column {again[0]!r}: rename one")
    return cells


def _numbers(cells: list[str]) -> NDArray[np.float64]:
    """All cells at once. Raises ValueError if one of them needs `_number`."""
    if "_" in "".join(cells):  # float() reads 2020_01 as 202001
        raise ValueError
    return np.fromiter(map(float, cells), np.float64, len(cells))


def _number(cell: str, where: str) -> float:
    text = cell.strip()
    if not text:
        return float("nan")
    if _is_number(text):
        return float(text)
    advice = ": write decimals with a point" if _is_number(text.replace(",", ".")) else ""
    shown = cell if len(cell) <= 40 else cell[:37] + "..."
    raise TableError(f"{where}: {shown!r} is not a number{advice}")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


class CsvWriter:
    """CSV in UTF-8. Text is written unchanged, a number in the fewest digits that identify it."""

    def __init__(self, stream: TextIO, delimiter: str) -> None:
        self._out = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        self._started = False

    def write(self, columns: Mapping[str, Column]) -> None:
        if not self._started:
            self._out.writerow(columns)
            self._started = True
        values = list(columns.values())
        rows, count = _whole_rows(values)
        if not count:
            self._out.writerows(zip(*map(_as_text, values), strict=True))
            return
        added = zip(*map(_as_text, values[count:]), strict=True)
        if count == len(values):
            self._out.writerows(rows)
        else:
            self._out.writerows([*row, *more] for row, more in zip(rows, added, strict=True))


def _whole_rows(columns: Sequence[Column]) -> tuple[list[list[str]], int]:
    """The rows that the first ``count`` columns are all the cells of, and ``count``, or 0."""
    first = columns[0] if columns else None
    if not isinstance(first, TextColumn) or not first.rows:
        return [], 0
    width = len(first.rows[0])
    leading = columns[:width]
    whole = len(leading) == width and all(
        isinstance(column, TextColumn) and column.rows is first.rows and column.position == i
        for i, column in enumerate(leading)
    )
    return (first.rows, width) if whole else ([], 0)


def _as_text(column: Column) -> Iterator[Any]:
    if isinstance(column, np.ndarray):
        return map(str, column)
    if hasattr(column, "to_pylist"):  # pyarrow's; its null is None, which is written as nothing
        try:
            cells: list[Any] = column.cast("string").to_pylist()
        except (NotImplementedError, ValueError):  # what pyarrow raises for a list or a struct
            raise TableError(
                f"a column of type {column.type} has no text: write a .parquet"
            ) from None
        return iter(cells)
    return (cell for cell in column)


@contextmanager
def _writing(
    file: BinaryIO, options: WriteOptions, delimiter: str | None = None
) -> Iterator[CsvWriter]:
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        yield CsvWriter(stream, delimiter or options.delimiter)
        stream.flush()
    finally:
        stream.detach()


CSV = TableFormat(CsvTable, _writing, has_types=False, has_names=True)
TSV = TableFormat(CsvTable, partial(_writing, delimiter="\t"), has_types=False, has_names=True)
