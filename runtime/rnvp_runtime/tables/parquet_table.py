"""Parquet, through pyarrow (extra ``tables``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.arrow_batch import ArrowBatch, check_schema, in_batches
from rnvp_runtime.tables.arrow_writer import writing
from rnvp_runtime.tables.damage import refusing_damage
from rnvp_runtime.tables.sources import Source
from rnvp_runtime.tables.table import (
    ReadOptions,
    TableFormat,
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


def _create(file: BinaryIO, schema: Any) -> Any:
    return import_extra("pyarrow.parquet").ParquetWriter(file, schema)


PARQUET = TableFormat(
    ParquetTable,
    writing(_create, "write a .arrow, or leave the column out"),
    has_types=True,
    has_names=True,
    package="pyarrow",
    seeks=True,
    magic=(b"PAR1",),
)
