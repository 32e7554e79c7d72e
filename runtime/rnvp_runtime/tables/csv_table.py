"""CSV: UTF-8, separated by comma, semicolon or tab, with a first line of column names.

Cells are kept as the text that they are, so that a table written from this one keeps every column
as it stood. Only the columns that are asked for are read as numbers.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing, repeated
from rnvp_runtime.errors import TableError

__all__ = ["CsvTable"]


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
        width = len(self.columns)
        for number, row in enumerate(rows, first_row):
            if len(row) != width:
                raise TableError(
                    f"{self.path}: row {number} has {len(row)} cells, the header {width}"
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

    def columns(self) -> dict[str, list[str]]:
        cells = zip(*self._rows, strict=True)
        return dict(zip(self._table.columns, map(list, cells), strict=True))


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
    """The separator that cuts the first line into most cells; a comma if none does."""
    return max(",;\t", key=lambda mark: len(next(csv.reader([line], delimiter=mark), [])))


def _header(path: Path, cells: list[str]) -> list[str]:
    if not cells:
        raise TableError(f"{path} does not begin with a line of column names: it is empty there")
    if all(_is_number(cell) for cell in cells):
        raise TableError(
            f"{path}: the first line looks like data, not column names: add a line of names"
        )
    if again := repeated(cells):
        raise TableError(f"{path} has more than one column {again[0]!r}: rename one")
    return cells


def _numbers(cells: list[str]) -> NDArray[np.float64]:
    """All cells at once, where none needs a second look."""
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
