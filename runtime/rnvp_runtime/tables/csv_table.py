"""CSV: UTF-8, separated by comma, semicolon or tab, with a first line of column names.

Cells are kept as text, so that a table written from this one keeps every column as it was. Only
the columns that are asked for are read as numbers. A table that is written with the same columns
writes the bytes of the records.
"""

import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing
from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.csv_parsing import arrow_texts, cells_of, numbers_of
from rnvp_runtime.tables.csv_records import Block, Head, blocks, read_head
from rnvp_runtime.tables.missing import Missing
from rnvp_runtime.tables.sources import Source
from rnvp_runtime.tables.table import ReadOptions

__all__ = ["CsvBatch", "CsvTable", "TextColumn"]


class CsvTable:
    """A CSV file; see `rnvp_runtime.tables.Table`. Blank lines are skipped."""

    rows: int | None = None

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.path, self._source, self._options = source.name, source, options
        with self._reading() as (head, stream):
            self.delimiter, self.columns, self.width = head.delimiter, head.columns, head.width
            if not any(blocks(self.path, stream, head)):
                raise TableError(f"{self.path} has column names but no rows")

    def __iter__(self) -> Iterator["CsvBatch"]:
        most = self._options.batch_rows
        with self._reading() as (head, stream):
            for block in blocks(self.path, stream, head):
                for low in range(0, len(block), most):
                    part = block.part(low, min(low + most, len(block)))
                    yield CsvBatch(self.path, self.columns, part, self._options.missing)

    @contextmanager
    def _reading(self) -> Iterator[tuple[Head, BinaryIO]]:
        try:
            with self._source.open() as stream:
                yield read_head(self.path, stream), stream
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            reason = " ".join(str(error).split())
            raise TableError(f"{self.path} cannot be read: {reason}") from None


class CsvBatch:
    """Consecutive rows of a CSV file; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, path: str, columns: tuple[str, ...], block: Block, missing: Missing) -> None:
        self._path, self._columns, self.block, self._missing = path, columns, block, missing

    @property
    def first_row(self) -> int:
        """See `rnvp_runtime.tables.Batch`."""
        return self.block.first_row

    def __len__(self) -> int:
        return len(self.block)

    def numeric(self, names: Sequence[str]) -> NDArray[np.float64]:
        """See `rnvp_runtime.tables.Batch`."""
        if missing := explain_missing(names, self._columns):
            raise TableError(f"{self._path} has {missing}")
        positions = [self._columns.index(name) for name in names]
        return numbers_of(self.block, positions, names, self._missing, self._path)

    def columns(self) -> dict[str, "TextColumn"]:
        """See `rnvp_runtime.tables.Batch`."""
        return {name: TextColumn(self, i) for i, name in enumerate(self._columns)}

    @cached_property
    def cells(self) -> list[list[str]]:
        """The cells of every column."""
        return cells_of(self.block, range(self.block.width))


class TextColumn(Sequence[str]):
    """One column of a batch of a CSV file. Its cells are read when they are needed.

    Attributes:
        batch: the batch, whose records a writer may copy whole.
        position: of the column.
    """

    def __init__(self, batch: CsvBatch, position: int) -> None:
        self.batch, self.position = batch, position

    @property
    def cells(self) -> list[str]:
        """The cells."""
        return self.batch.cells[self.position]

    def __len__(self) -> int:
        return len(self.batch)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        return self.cells[at]

    def __iter__(self) -> Iterator[str]:
        return iter(self.cells)

    def __arrow_array__(self, type: Any = None) -> Any:
        """The cells as pyarrow's strings."""
        from rnvp_runtime.extras import import_extra

        arrow = import_extra("pyarrow")
        found = arrow_texts(self.batch.block, [self.position])
        array = arrow.array(self.cells, arrow.string()) if found is None else found[0]
        return array if type is None else array.cast(type)
