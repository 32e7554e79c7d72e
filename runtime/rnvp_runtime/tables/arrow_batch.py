"""Columns of pyarrow as numbers, for Parquet, Arrow files and data frames."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing, repeated_names
from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.arrow_schema import run_end_decoded
from rnvp_runtime.tables.cells import refuse_text
from rnvp_runtime.tables.damage import refusing_damage
from rnvp_runtime.tables.missing import Missing
from rnvp_runtime.tables.table import common_float

__all__ = ["ArrowBatch", "arrow_numbers", "check_schema", "in_batches"]


class ArrowBatch:
    """Consecutive rows, as a record batch; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, path: str, first_row: int, batch: Any, missing: Missing) -> None:
        self._path, self.first_row, self._batch, self._missing = path, first_row, batch, missing

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        """See `rnvp_runtime.tables.Batch`."""
        if missing := explain_missing(names, self._batch.schema.names):
            raise TableError(f"{self._path} has {missing}")
        columns = []
        for name in names:
            where = f"{self._path}: column {name!r}"
            with refusing_damage(where, "numbers"):
                column = self._batch.column(name)
                columns.append(arrow_numbers(column, self._missing, where, self.first_row))
        out = np.empty((len(self), len(names)), common_float([c.dtype for c in columns]))
        for i, column in enumerate(columns):
            out[:, i] = column
        return out

    def columns(self) -> dict[str, Any]:
        """See `rnvp_runtime.tables.Batch`."""
        return dict(zip(self._batch.schema.names, self._batch.columns, strict=True))


def arrow_numbers(
    column: Any, missing: Missing, where: str, first_row: int
) -> NDArray[np.floating]:
    """A column of numbers, booleans, decimals or nulls, or of missing values only.

    Returns:
        (n,), float32 for a column of float32 or less, else float64; NaN where a value is missing.

    Raises:
        TableError: the column holds something else. The text names the row.
    """
    arrow = import_extra("pyarrow")
    types = arrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    column = run_end_decoded(column)
    kind = column.type
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        refuse_text(column.to_pylist(), missing, where, first_row, str(kind))
        return np.full(len(column), np.nan)
    if not any(
        is_kind(kind)
        for is_kind in (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
    ):
        row = next((i for i, value in enumerate(column) if value.is_valid), 0)
        shown = str(column[row])[:40] if len(column) else ""
        raise TableError(f"{where}, row {first_row + row}: {shown!r} is {kind}, not a number")
    single = types.is_float32(kind) or types.is_float16(kind)
    numbers = column.cast(arrow.float32() if single else arrow.float64(), safe=False)
    return missing.blank(np.asarray(numbers.to_numpy(**_copying(numbers))))


def _copying(column: Any) -> dict[str, bool]:
    """An array may need a copy for its nulls; a chunked array always makes one."""
    return {} if hasattr(column, "chunks") else {"zero_copy_only": False}


def check_schema(path: str, names: Sequence[str]) -> None:
    """Refuse names that occur twice.

    Raises:
        TableError: names the column.
    """
    if again := repeated_names(names):
        raise TableError(f"{path} has more than one column {again[0]!r}: rename one")


def in_batches(
    path: str, batches: Iterator[Any], most: int, missing: Missing
) -> Iterator[ArrowBatch]:
    """Record batches of any size as batches of at most ``most`` rows, none of them empty."""
    first_row = 1
    for batch in batches:
        batch.validate(full=True)  # damaged offsets would be read out of bounds
        for low in range(0, batch.num_rows, most):
            part = batch.slice(low, most)
            yield ArrowBatch(path, first_row, part, missing)
            first_row += part.num_rows
