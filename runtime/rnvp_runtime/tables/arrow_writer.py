"""Writing batches through pyarrow: what Parquet and Arrow files have in common."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO

from rnvp_runtime.tables.arrow_schema import table_of
from rnvp_runtime.tables.table import Column, WriteOptions

__all__ = ["ArrowWriter", "writing"]

Create = Callable[[BinaryIO, Any], Any]
"""(file, schema) -> a writer of pyarrow, with ``write_table`` and ``close``."""


class ArrowWriter:
    """One row group or record batch a batch. Columns of pyarrow keep their type.

    The schema is that of the first batch, so the writer of pyarrow is created then.
    """

    def __init__(self, file: BinaryIO, schema: Any, create: Create) -> None:
        self._file, self._schema, self._create = file, schema, create
        self._out: Any = None

    def write(self, columns: Mapping[str, Column]) -> None:
        """See `rnvp_runtime.tables.Writer`."""
        table = table_of(columns, self._schema)
        if self._out is None:
            self._out = self._create(self._file, table.schema)
        self._out.write_table(table)

    def finish(self) -> None:
        """Write the footer."""
        if self._out is not None:
            self._out.close()


def writing(
    create: Create,
) -> Callable[[BinaryIO, WriteOptions], AbstractContextManager[ArrowWriter]]:
    """How a table format writes through the writer of pyarrow that ``create`` gives."""

    @contextmanager
    def write(file: BinaryIO, options: WriteOptions) -> Iterator[ArrowWriter]:
        writer = ArrowWriter(file, options.schema, create)
        try:
            yield writer
        finally:  # else pyarrow would close it later, when the file is closed already
            writer.finish()

    return write
