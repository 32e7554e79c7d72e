"""The interface of a table on disk, and the parts of a table format."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnvp_runtime.tables.missing import Missing
from rnvp_runtime.tables.sources import Source

__all__ = [
    "Batch",
    "Column",
    "ReadOptions",
    "Table",
    "TableFormat",
    "WriteOptions",
    "Writer",
    "common_float",
    "rows_a_batch",
]

Column = Any
"""One column of a batch: a sequence of str (CSV), 1-d numpy array, or pyarrow array (Parquet)."""


class Batch(Protocol):
    """Consecutive rows of a table."""

    @property
    def first_row(self) -> int:
        """The number of its first row; the first row of data of a table is row 1."""

    def __len__(self) -> int:
        """The number of rows."""

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        """The columns ``names`` as numbers, NaN where a value is missing.

        A table without column names gives all its columns, which must be as many as ``names``.

        Returns:
            (rows, len(names)): float32 if all are stored in float32 or less, else float64.

        Raises:
            TableError: a column is missing (the text suggests a name), or holds something that
                is not a number (the text names column, row and value).
        """

    def columns(self) -> Mapping[str, Column]:
        """Every column as it is in the file; empty for a table without column names."""


class Table(Protocol):
    """A table on disk. Each iteration reads it from the start, a batch at a time."""

    @property
    def path(self) -> str:
        """Where it is: what it was opened as, for errors."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Column names in order; None where the format has none (``.npy``)."""

    @property
    def width(self) -> int:
        """The number of columns."""

    @property
    def rows(self) -> int | None:
        """The number of rows; None if the table would have to be read to count them (CSV)."""

    def __iter__(self) -> Iterator[Batch]:
        """The batches in order; none is empty.

        Raises:
            TableError: the file is damaged. The text names the row if it can.
        """


class Writer(Protocol):
    """A table being written."""

    def write(self, columns: Mapping[str, Column]) -> None:
        """Append rows: equally long columns, with the same names and kinds every time."""


@dataclass(frozen=True)
class WriteOptions:
    """Choices that only some formats have."""

    delimiter: str = ","  # between the cells of a CSV file
    vector: bool = False  # a ``.npy`` of one column has shape (n,) and not (n, 1)
    schema: Any = None  # pyarrow's, of the table that is copied: its metadata is kept


@dataclass(frozen=True)
class ReadOptions:
    """How a table is read."""

    batch_rows: int = 65536  # the most rows of a batch
    missing: Missing = field(default_factory=Missing)


@dataclass(frozen=True)
class TableFormat:
    """A format of tables: one entry of `rnvp_runtime.tables.FORMATS`."""

    read: Callable[[Source, ReadOptions], Table]
    write: Callable[[BinaryIO, WriteOptions], AbstractContextManager[Writer]] | None
    has_types: bool  # the file says which columns are numbers and which are text
    has_names: bool  # columns have names
    package: str | None = None  # a package of an extra, without which it cannot be written
    seeks: bool = False  # its file is read, and written, in any order
    magic: tuple[bytes, ...] = ()  # what a file begins with


def common_float(dtypes: Sequence[DTypeLike]) -> np.dtype[Any]:
    """float32 if it holds all numbers of ``dtypes`` exactly, else float64."""
    kinds = {np.dtype(dtype) for dtype in dtypes}
    single = all(kind.kind == "f" and kind.itemsize <= 4 for kind in kinds)
    return np.dtype(np.float32 if single and kinds else np.float64)


def rows_a_batch(asked: int, width: int) -> int:
    """At most ``asked`` rows of ``width`` numbers, and at most some 16 MiB of them."""
    return min(asked, max(1024, (16 << 20) // (8 * max(width, 1))))
