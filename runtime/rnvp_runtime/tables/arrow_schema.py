"""Columns to write as a table of pyarrow, with the metadata of the table that they came from."""

from collections.abc import Mapping
from typing import Any

from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.table import Column

__all__ = ["table_of"]


def table_of(columns: Mapping[str, Column], source: Any) -> Any:
    """A table of pyarrow.

    Args:
        columns: the columns.
        source: the schema of the table that is copied, or None. Its metadata is kept, with
            pandas' index in it, and that of each column whose type is the same.
    """
    table = import_extra("pyarrow").table(dict(columns))
    if source is None:
        return table
    schema = table.schema.with_metadata(source.metadata)
    for i, field in enumerate(table.schema):
        at = source.get_field_index(field.name)
        if at >= 0 and source.field(at).type == field.type:
            schema = schema.set(i, source.field(at))
    return table.cast(schema)
