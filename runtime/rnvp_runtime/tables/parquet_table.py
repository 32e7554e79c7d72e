"""Parquet, through pyarrow (extra ``tables``)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing, repeated_names
from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.table import Column, TableFormat, WriteOptions, common_float

__all__ = ["PARQUET", "ParquetTable"]


class ParquetTable:
    """A Parquet file; see `rnvp_runtime.tables.Table`.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path, batch_rows: int) -> None:
        self.path, self._batch_rows = path, batch_rows
        with self._reading() as file:
            self.columns: tuple[str, ...] = tuple(file.schema_arrow.names)
            self.width = len(self.columns)
            self.rows: int | None = file.metadata.num_rows
        if again := repeated_names(self.columns):
            raise TableError(f"{path} has more than one column {again[0]!r}: rename one")
        if not self.rows:
            raise TableError(f"{path} has column names but no rows")

    def __iter__(self) -> Iterator["ParquetBatch"]:
        first_row = 1
        with self._reading() as file:
            for batch in file.iter_batches(batch_size=self._batch_rows):
                if batch.num_rows:
                    yield ParquetBatch(self.path, first_row, batch)
                    first_row += batch.num_rows

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        arrow = import_extra("pyarrow")
        parquet = import_extra("pyarrow.parquet")
        try:
            with parquet.ParquetFile(self.path) as file:
                yield file
        except arrow.ArrowException as error:
            reason = " ".join(str(error).split())
            raise TableError(f"{self.path} cannot be read as Parquet: {reason}") from None


class ParquetBatch:
    """Consecutive rows of a Parquet file; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, path: Path, first_row: int, batch: Any) -> None:
        self._path, self.first_row, self._batch = path, first_row, batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        if missing := explain_missing(names, self._batch.schema.names):
            raise TableError(f"{self._path} has {missing}")
        columns = [self._numbers(name) for name in names]
        out = np.empty((len(self), len(names)), common_float([c.dtype for c in columns]))
        for i, column in enumerate(columns):
            out[:, i] = column
        return out

    def columns(self) -> dict[str, Any]:
        return dict(zip(self._batch.schema.names, self._batch.columns, strict=True))

    def _numbers(self, name: str) -> NDArray[np.floating]:
        arrow = import_extra("pyarrow")
        column = self._batch.column(name)
        kind, types = column.type, arrow.types
        if not any(
            is_kind(kind)
            for is_kind in (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
        ):
            row = next((i for i, value in enumerate(column) if value.is_valid), 0)
            raise TableError(
                f"{self._path}: column {name!r}, row {self.first_row + row}: "
                f"{str(column[row])[:40]!r} is {kind}, not a number"
            )
        single = types.is_float32(kind) or types.is_float16(kind)
        target = arrow.float32() if single else arrow.float64()
        numbers = column.cast(target, safe=False)
        return np.asarray(numbers.to_numpy(zero_copy_only=False))


class ParquetWriter:
    """Parquet, one row group a batch. Columns of pyarrow keep their type."""

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
def _writing(file: BinaryIO, options: WriteOptions) -> Iterator[ParquetWriter]:
    writer = ParquetWriter(file)
    try:
        yield writer
    finally:  # else pyarrow would close it later, when the file is closed already
        writer.finish()


PARQUET = TableFormat(ParquetTable, _writing, has_types=True, has_names=True, package="pyarrow")
