"""Read the table of ``rnvp-train``: choose its columns, and check that they hold numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing
from rnvp_runtime.errors import TableError
from rnvp_runtime.tables import (
    BOOLEANS,
    Batch,
    Missing,
    advice_on,
    open_table,
    parse_number,
    shorten,
)

__all__ = ["TrainingTable", "matching_columns", "read_training_table"]

_SHOWN = 5  # rows named in a message


@dataclass(frozen=True)
class TrainingTable:
    """The columns of a table that a flow is trained on.

    Attributes:
        columns: d names.
        context_columns: c names.
        x: (n, d), NaN where a cell is missing.
        context: (n, c), NaN where a cell is missing; None without context columns.
        left_out: Names of the columns that are text or empty; only if no columns were asked for.
        unnamed: The number in the table of a column without a name, which is left out too.
    """

    columns: tuple[str, ...]
    context_columns: tuple[str, ...]
    x: NDArray[np.float64]
    context: NDArray[np.float64] | None
    left_out: tuple[str, ...]
    unnamed: int | None = None

    @property
    def notices(self) -> list[str]:
        """One line for each reason why columns were left out."""
        return _notices(self.left_out, self.unnamed)


def read_training_table(
    path: str | Path,
    columns: Sequence[str] = (),
    context: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> TrainingTable:
    """Read the columns to learn and the columns to condition on.

    A column that holds only text, or nothing, is left out unless it was asked for. Text among
    numbers is an error. A column of booleans holds the numbers 0 and 1; with text among them it
    is text.

    Args:
        path: What `rnvp_runtime.tables.open_table` opens.
        columns: Names or patterns (``mean *``) of the columns to learn. Default: all columns of
            numbers that are in neither ``context`` nor ``exclude``.
        context: Names or patterns of the columns to condition on.
        exclude: Names or patterns of columns to leave out.
        missing: Spellings of a missing value, beside those that every table has.

    Raises:
        TableError: The table cannot be read, a name or pattern matches no column, a column is in
            two of the lists, or a column does not hold numbers.
    """
    table = open_table(path, missing=missing)
    present = tuple(f"x{i}" for i in range(table.width)) if table.columns is None else table.columns
    excluded = set(matching_columns(exclude, present, path))
    given = matching_columns(context, present, path)
    if both := excluded.intersection(given):
        raise TableError(f"column {min(both)!r} is in both --context and --exclude")
    asked = [name for name in matching_columns(columns, present, path) if name not in excluded]
    if both := set(asked).intersection(given):
        raise TableError(f"column {min(both)!r} is in both --columns and --context")
    if columns and not asked:
        raise TableError("--exclude leaves out all of --columns")
    others = [name for name in present if name and name not in excluded]
    wanted = list(dict.fromkeys((*asked, *given) if columns else (*others, *given)))
    found = {name: _Column(name, Missing(missing)) for name in wanted}
    for batch in table:
        if table.columns is None:
            for name, numbers in zip(present, batch.numeric(present).T, strict=True):
                if name in found:
                    found[name].add_numbers(numbers.astype(np.float64))
        else:
            _add(batch, list(found.values()))
    required = {*asked, *given}
    kept = [c.name for c in found.values() if c.is_numeric(path, c.name in required)]
    learnt = tuple(name for name in (asked if columns else kept) if name not in given)
    unnamed = present.index("") + 1 if "" in present and not columns else None
    left_out = tuple(name for name in wanted if name not in kept)
    if not learnt:
        raise TableError(
            f"{path} has no column of numbers to learn; it has {', '.join(filter(None, present))}"
            + "".join(f". {notice}" for notice in _notices(left_out, unnamed))
        )
    return TrainingTable(
        learnt,
        tuple(given),
        np.stack([found[name].values() for name in learnt], axis=1),
        np.stack([found[name].values() for name in given], axis=1) if given else None,
        left_out,
        unnamed,
    )


def _notices(left_out: Sequence[str], unnamed: int | None) -> list[str]:
    found = [f"Left out, text or empty: {', '.join(left_out)}"] if left_out else []
    if unnamed is not None:
        found.append(f"Left out, it has no name: column {unnamed}")
    return found


def _add(batch: Batch, columns: Sequence["_Column"]) -> None:
    """Read all columns without text at once, which is faster, and the others one by one."""
    clean = [column for column in columns if not column.text]
    try:
        numbers = batch.numeric([column.name for column in clean]).astype(np.float64)
    except TableError:
        clean = []
    else:
        for column, cells in zip(clean, numbers.T, strict=True):
            column.add_numbers(cells)
    for column in columns:
        if column not in clean:
            column.add(batch)


def matching_columns(wanted: Sequence[str], present: Sequence[str], where: Path | str) -> list[str]:
    """The columns with these names, or that match these patterns; in the order of ``wanted``.

    Args:
        wanted: Names and patterns.
        present: The names that there are.
        where: What has them, for the message.

    Raises:
        TableError: A name or pattern matches no column.
    """
    names: list[str] = []
    for name in wanted:
        is_pattern = name not in present and any(mark in name for mark in "*?[")
        matches = [n for n in present if n and fnmatchcase(n, name)] if is_pattern else [name]
        if is_pattern and not matches:
            raise TableError(f"{where} has no column that matches {name!r}")
        names += [n for n in matches if n not in names]
    if missing := explain_missing(names, present):
        raise TableError(f"{where} has {missing}")
    return names


@dataclass(eq=False)
class _Column:
    """The cells of one column, as they are read."""

    name: str
    missing: Missing
    parts: list[NDArray[np.float64]] = field(default_factory=list)
    cells: int = 0
    numbers: int = 0
    booleans: int = 0  # of the numbers, in the batches that were read cell by cell
    text_rows: list[int] = field(default_factory=list)  # the first ones
    text: int = 0
    example: str = ""
    advice: str = ""  # about cells with commas

    def add(self, batch: Batch) -> None:
        """Read this column of ``batch``; text and missing values become NaN."""
        cells = batch.columns()[self.name] if self.text else None
        if isinstance(cells, Sequence):
            return self._add_cells(cells, batch.first_row)
        try:
            self.add_numbers(batch.numeric([self.name])[:, 0].astype(np.float64))
        except TableError:
            cells = batch.columns()[self.name]
            if isinstance(cells, Sequence):  # CSV: each cell may be of another kind
                self._add_cells(cells, batch.first_row)
            else:
                shown = next((str(c) for c in cells if str(c) not in ("None", "nan")), "")
                self._add_text(len(batch), batch.first_row, shown)

    def add_numbers(self, numbers: NDArray[np.float64]) -> None:
        """Add cells that are all numbers or missing."""
        self.parts.append(numbers)
        self.cells += len(numbers)
        self.numbers += int(np.count_nonzero(~np.isnan(numbers)))

    def _add_cells(self, cells: Sequence[str], first_row: int) -> None:
        numbers = np.full(len(cells), np.nan)
        texts = []
        for i, cell in enumerate(cells):
            if self.missing.matches(cell):
                continue
            number = parse_number(cell)
            if number is None and (number := BOOLEANS.get(cell.strip())) is not None:
                self.booleans += 1
            if number is not None:
                numbers[i] = number
                continue
            self._add_text(1, first_row + i, cell)
            self.cells -= 1  # counted by add_numbers
            texts.append(cell)
        if texts and not self.advice and any(mark in texts[0] for mark in ",.'"):
            self.advice = advice_on(texts[:1], cells[:1000])
        self.add_numbers(self.missing.blank(numbers))

    def _add_text(self, count: int, row: int, example: str) -> None:
        if not self.text:
            self.example = example
        if len(self.text_rows) < _SHOWN:
            self.text_rows.append(row)
        self.text += count
        self.cells += count

    def is_numeric(self, path: str | Path, required: bool) -> bool:
        """Whether all its cells are numbers or missing, and some are numbers.

        Raises:
            TableError: It holds text among numbers; or ``required``, and it is text or empty.
        """
        if not self.text and self.numbers:
            return True
        where = f"{path}: column {self.name!r}"
        if self.text and (self.numbers > self.booleans or self.advice):
            one = self.text == 1
            rows = ", ".join(map(str, self.text_rows))
            more = f" and {self.text - _SHOWN:,} more" if self.text > _SHOWN else ""
            remedy = self.advice or (
                f"correct {'it' if one else 'them'}, or leave the column out with --exclude"
            )
            raise TableError(
                f"{where}: {self.text:,} of {self.cells:,} cells "
                f"{'is not a number, row' if one else 'are not numbers, rows'} {rows}{more} "
                f"({shorten(self.example)}): {remedy}"
            )
        if required:
            what = f"text ({shorten(self.example)})" if self.text else "nothing"
            raise TableError(f"{where} holds {what}, expected numbers")
        return False

    def values(self) -> NDArray[np.float64]:
        """(n,)."""
        return np.concatenate(self.parts)
