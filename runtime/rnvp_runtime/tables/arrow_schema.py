"""Columns to write as a table of pyarrow, with the types and the metadata of the table copied."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.table import Column

__all__ = ["common_schema", "run_end_decoded", "table_of"]


def table_of(columns: Mapping[str, Column], source: Any) -> Any:
    """A table of pyarrow.

    Args:
        columns: the columns.
        source: the schema of the table that is copied, or None. Its metadata is kept, with
            pandas' index in it, and the type and metadata of each column that has its name.

    Raises:
        TableError: pyarrow has no such type, or the source's does not hold the values.
    """
    table = import_extra("pyarrow").table({n: _array(n, c) for n, c in columns.items()})
    if source is None:
        return table
    for i, name in enumerate(table.column_names):
        if (at := source.get_field_index(name)) >= 0:
            field = source.field(at)
            table = table.set_column(i, field, _converted(name, table.column(i), field.type))
    return table.replace_schema_metadata(source.metadata)


def _array(name: str, column: Column) -> Any:
    if isinstance(column, np.ndarray):  # pyarrow takes no swapped bytes
        column = column.astype(column.dtype.newbyteorder("="), copy=False)
    arrow = import_extra("pyarrow")
    try:
        known = isinstance(column, arrow.Array | arrow.ChunkedArray)
        return column if known else arrow.array(column)
    except (arrow.ArrowException, UnicodeError) as error:
        kind = getattr(column, "dtype", "text")
        reason = " ".join(str(error).split())
        raise TableError(
            f"column {name!r} is {kind}, which cannot be written ({reason}): convert it"
        ) from None


def run_end_decoded(column: Any) -> Any:
    """A column of pyarrow, with plain values if it was run-end encoded."""
    if not import_extra("pyarrow").types.is_run_end_encoded(column.type):
        return column
    decode = import_extra("pyarrow.compute").run_end_decode
    if not hasattr(column, "chunks"):
        return decode(column)
    chunks = [decode(chunk) for chunk in column.chunks]
    return import_extra("pyarrow").chunked_array(chunks, column.type.value_type)


def _converted(name: str, column: Any, kind: Any) -> Any:
    """``column`` as the type ``kind``, if that is a wider one."""
    arrow = import_extra("pyarrow")
    if column.type == kind:
        return column
    try:
        column = run_end_decoded(column)
        if common_type(column.type, kind) == kind:
            return column.cast(kind)
        reason = f"rows before have {kind}"
    except arrow.ArrowException as error:
        reason = " ".join(str(error).split())
    raise TableError(
        f"column {name!r} has {column.type} that cannot be written as {kind} ({reason}): convert it"
    )


def common_schema(path: str, parts: Sequence[tuple[str, Any]]) -> Any:
    """The schema that holds the rows of all files of a table.

    Args:
        path: the table, for the error.
        parts: the name and the schema of each file. All have the same columns.

    Raises:
        TableError: a column has types of which none holds the other.
    """
    first, found = parts[0]
    for other, schema in parts[1:]:
        if schema.equals(found):
            continue
        for i, (ours, theirs) in enumerate(zip(found, schema, strict=True)):
            kind = common_type(ours.type, theirs.type)
            if kind is None:
                raise TableError(
                    f"{path} is not one table: column {ours.name!r} is {theirs.type} in {other}, "
                    f"{ours.type} in {first}: convert it in one of them"
                )
            nullable = ours.nullable or theirs.nullable
            found = found.set(i, ours.with_type(kind).with_nullable(nullable))
    return found


def common_type(one: Any, other: Any) -> Any:
    """pyarrow's type that holds the values of both types; None if there is none."""
    arrow = import_extra("pyarrow")
    for a, b in ((one, other), (_decoded(one), _decoded(other))):
        schemas = [arrow.schema([("", kind)]) for kind in (a, b)]
        try:
            return arrow.unify_schemas(schemas, promote_options="permissive").field(0).type
        except arrow.ArrowException:
            continue
    return None


def _decoded(kind: Any) -> Any:
    types = import_extra("pyarrow").types
    encoded = types.is_dictionary(kind) or types.is_run_end_encoded(kind)
    return kind.value_type if encoded else kind
