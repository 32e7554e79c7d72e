"""Arrow files and streams (``.arrow``, ``.feather``), through pyarrow (extra ``tables``)."""

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

__all__ = ["ARROW", "ArrowTable"]

_MAGIC = b"ARROW1"  # of a file; a stream has none


class ArrowTable:
    """An Arrow file or stream; see `rnvp_runtime.tables.Table`.

    Attributes:
        schema: pyarrow's.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    rows: int | None = None

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.path, self._source, self._options = source.name, source, options
        with self._reading() as (schema, batches):
            self.schema = schema
            self.columns: tuple[str, ...] = tuple(schema.names)
            self.width = len(self.columns)
            check_schema(self.path, self.columns)
            if not any(batch.num_rows for batch in batches):
                raise TableError(f"{self.path} has column names but no rows")

    def __iter__(self) -> Iterator[ArrowBatch]:
        most = rows_a_batch(self._options.batch_rows, self.width)
        with self._reading() as (_, batches):
            yield from in_batches(self.path, batches, most, self._options.missing)

    @contextmanager
    def _reading(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        ipc = import_extra("pyarrow.ipc")
        with refusing_damage(self.path, "an Arrow file"), self._source.open() as stream:
            head = stream.read(len(_MAGIC))
            if head.startswith(b"FEA1"):
                raise TableError(
                    f"{self.path} is a Feather file of version 1: write it again, "
                    'pandas.read_feather(TABLE).to_parquet("table.parquet")'
                )
            stream.seek(0)
            if head != _MAGIC:
                reader = ipc.open_stream(stream)
                yield reader.schema, iter(reader)
                return
            file = ipc.open_file(stream)
            yield file.schema, map(file.get_batch, range(file.num_record_batches))


class _DictionaryWriter:
    """A writer of pyarrow that adds to the dictionaries of a file, which cannot be replaced."""

    def __init__(self, file: BinaryIO, schema: Any) -> None:
        ipc = import_extra("pyarrow.ipc")
        options = ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self._out = ipc.new_file(file, schema, options=options)
        self._known: list[Any] = []  # no rows, with the dictionaries written so far

    def write_table(self, table: Any) -> None:
        arrow = import_extra("pyarrow")
        if any(arrow.types.is_dictionary(kind) for kind in table.schema.types):
            table = arrow.concat_tables([*self._known, table]).unify_dictionaries()
            self._known = [table.slice(0, 0)]
        self._out.write_table(table)

    def close(self) -> None:
        self._out.close()


ARROW = TableFormat(
    ArrowTable,
    writing(_DictionaryWriter, "write a .parquet"),
    has_types=True,
    has_names=True,
    package="pyarrow",
    seeks=True,
    magic=(_MAGIC, b"\xff\xff\xff\xff", b"FEA1"),
)
