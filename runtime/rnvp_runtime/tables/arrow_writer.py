"""Writing batches through pyarrow: what Parquet and Arrow files have in common."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.arrow_schema import table_of
from rnvp_runtime.tables.table import Column, WriteOptions

__all__ = ["ArrowWriter", "writing"]

Create = Callable[[BinaryIO, Any], Any]
"""(file, schema) -> a writer of pyarrow, with ``write_table`` and ``close``."""


class ArrowWriter:
    """One row group or record batch a batch. Columns of pyarrow keep their type.

    The schema is that of the first batch, so the writer of pyarrow is created then. Later batches
    are converted to it.

    Args:
        file: to write to.
        schema: of the table that is copied, or None.
        create: the writer of pyarrow.
        advice: what to do with a column whose type it cannot write.

    Raises:
        TableError: a column has a type that cannot be written.
    """

    def __init__(self, file: BinaryIO, schema: Any, create: Create, advice: str) -> None:
        self._file, self._create, self._advice = file, create, advice
        self._schema = schema if schema is None else self._storable(schema)
        self._out: Any = None

    def write(self, columns: Mapping[str, Column]) -> None:
        """See `rnvp_runtime.tables.Writer`."""
        table = table_of(columns, self._schema)
        if self._out is None:
            self._schema = self._storable(table.schema)
            table = table_of(
                dict(zip(table.column_names, table.columns, strict=True)), self._schema
            )
            self._out = self._create(self._file, self._schema)
        try:
            self._out.write_table(table)
        except import_extra("pyarrow").ArrowException as error:
            reason = " ".join(str(error).split())
            raise TableError(f"the columns cannot be written: {reason}: {self._advice}") from None

    def finish(self) -> None:
        """Write the footer."""
        if self._out is not None:
            self._out.close()

    def _storable(self, schema: Any) -> Any:
        """``schema``, with plain values for run-end encoded ones where these cannot be written."""
        arrow = import_extra("pyarrow")
        if self._stores(schema):
            return schema
        for i, field in enumerate(schema):
            if self._stores(arrow.schema([field])):
                continue
            if not arrow.types.is_run_end_encoded(field.type):
                raise TableError(
                    f"column {field.name!r} is {field.type}, which the file cannot hold: "
                    f"{self._advice}"
                )
            schema = schema.set(i, field.with_type(field.type.value_type))
        return schema

    def _stores(self, schema: Any) -> bool:
        try:
            self._create(io.BytesIO(), schema).close()
        except import_extra("pyarrow").ArrowException:
            return False
        return True


def writing(
    create: Create, advice: str
) -> Callable[[BinaryIO, WriteOptions], AbstractContextManager[ArrowWriter]]:
    """How a table format writes through the writer of pyarrow that ``create`` gives.

    Args:
        create: gives it.
        advice: what to do with a column whose type it cannot write.
    """

    @contextmanager
    def write(file: BinaryIO, options: WriteOptions) -> Iterator[ArrowWriter]:
        writer = ArrowWriter(file, options.schema, create, advice)
        try:
            yield writer
        finally:  # else pyarrow would close it later, when the file is closed already
            writer.finish()

    return write
