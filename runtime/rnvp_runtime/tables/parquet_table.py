"""Parquet, through pyarrow (extra ``tables``)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.arrow_batch import ArrowBatch, check_schema, in_batches
from rnvp_runtime.tables.arrow_schema import table_of
from rnvp_runtime.tables.damage import refusing_damage
from rnvp_runtime.tables.sources import Source
from rnvp_runtime.tables.table import (
    Column,
    ReadOptions,
    TableFormat,
    WriteOptions,
    rows_a_batch,
)

__all__ = ["PARQUET", "ParquetTable"]

_READ_BYTES = 1 << 20  # of a column at a time: a row group may be larger than the memory


class ParquetTable:
    """A Parquet file; see `rnvp_runtime.tables.Table`.

    Attributes:
        schema: pyarrow's.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.path, self._source, self._options = source.name, source, options
        with self._reading() as file:
            self.schema = file.schema_arrow
            self.columns: tuple[str, ...] = tuple(self.schema.names)
            self.width = len(self.columns)
            self.rows: int | None = file.metadata.num_rows
        check_schema(self.path, self.columns)
        if not self.rows:
            raise TableError(f"{self.path} has column names but no rows")

    def __iter__(self) -> Iterator[ArrowBatch]:
        most, done = rows_a_batch(self._options.batch_rows, self.width), 0
        with self._reading() as file:
            read = file.iter_batches(batch_size=most, use_threads=False)
            for batch in in_batches(self.path, read, most, self._options.missing):
                done += len(batch)
                yield batch
            if done != self.rows:
                raise TableError(
                    f"{self.path} holds {done} rows, its footer says {self.rows}: it is damaged"
                )

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        parquet = import_extra("pyarrow.parquet")
        with refusing_damage(self.path, "Parquet"):
            of = str(self._source.path) if self._source.path else self._source.open()
            with parquet.ParquetFile(of, buffer_size=_READ_BYTES, pre_buffer=False) as file:
                yield file


class ParquetWriter:
    """Parquet, one row group a batch. Columns of pyarrow keep their type."""

    def __init__(self, file: BinaryIO, schema: Any) -> None:
        self._file, self._schema = file, schema
        self._out: Any = None

    def write(self, columns: Mapping[str, Column]) -> None:
        """See `rnvp_runtime.tables.Writer`."""
        table = table_of(columns, self._schema)
        if self._out is None:
            self._out = import_extra("pyarrow.parquet").ParquetWriter(self._file, table.schema)
        self._out.write_table(table)

    def finish(self) -> None:
        """Write the footer."""
        if self._out is not None:
            self._out.close()


@contextmanager
def _writing(file: BinaryIO, options: WriteOptions) -> Iterator[ParquetWriter]:
    writer = ParquetWriter(file, options.schema)
    try:
        yield writer
    finally:  # else pyarrow would close it later, when the file is closed already
        writer.finish()


PARQUET = TableFormat(
    ParquetTable,
    _writing,
    has_types=True,
    has_names=True,
    package="pyarrow",
    seeks=True,
    magic=(b"PAR1",),
)
