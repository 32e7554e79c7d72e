"""What every table on disk looks like from here: batches of rows, numbers by column name."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Column", "Table"]

Column = Any
"""One column of a batch: list of str (CSV), 1-d numpy array, or pyarrow array (Parquet)."""


class Batch(Protocol):
    """Some consecutive rows of a table."""

    @property
    def first_row(self) -> int:
        """The number of its first row; the first row of data of a table is row 1."""

    def __len__(self) -> int:
        """The number of rows."""

    def numeric(self, names: Sequence[str]) -> NDArray[np.float64]:
        """The columns ``names`` as numbers: (rows, len(names)) float64, NaN where a cell is empty.

        A table without column names gives all its columns, which must be as many as ``names``.

        Raises
        ------
        TableError
            A column is missing (the text guesses at what was meant), or holds something that is
            not a number (the text names column, row and value).
        """

    def columns(self) -> dict[str, Column]:
        """Every column as it stands in the file; empty for a table without column names."""


class Table(Protocol):
    """A table on disk. Iterating reads it from the start, a batch at a time."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Column names in order; None where the format has none (``.npy``)."""

    @property
    def rows(self) -> int | None:
        """Rows in all; None where only reading would tell (CSV)."""

    def __iter__(self) -> Iterator[Batch]:
        """The batches in order; none is empty.

        Raises
        ------
        TableError
            The file is damaged; names the row where it can.
        """
