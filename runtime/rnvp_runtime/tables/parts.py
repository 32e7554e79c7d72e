"""Several files that are one table: a folder or a pattern of Parquet, CSV or any one format."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.arrow_schema import common_schema
from rnvp_runtime.tables.table import Batch, Column, Table

__all__ = ["PartsTable"]


class PartsTable:
    """Files with the same columns, one after the other; see `rnvp_runtime.tables.Table`."""

    def __init__(self, path: str, parts: Sequence[Table]) -> None:
        self.path, self._parts = path, parts
        first = parts[0]
        for other in parts[1:]:
            if (other.columns, other.width) != (first.columns, first.width):
                raise TableError(
                    f"{path} is not one table: {other.path} has {_described(other)}, "
                    f"{first.path} has {_described(first)}"
                )
        self.columns, self.width = first.columns, first.width
        dtypes = {getattr(part, "dtype", None) for part in parts}  # of matrices without types
        self._dtype = np.dtype(np.float64) if len(dtypes) > 1 else None
        counts = [part.rows for part in parts]
        self.rows = None if None in counts else sum(count or 0 for count in counts)

    def __getattr__(self, name: str) -> Any:
        if name == "delimiter":  # what a copy of the table keeps
            return getattr(self._parts[0], name)
        if name == "schema":
            schemas = [(part.path, getattr(part, "schema", None)) for part in self._parts]
            return common_schema(self.path, schemas) if all(s for _, s in schemas) else None
        raise AttributeError(name)

    def __iter__(self) -> Iterator["PartBatch"]:
        before = 0
        for part in self._parts:
            done = 0
            for batch in part:
                yield PartBatch(batch, before, self._dtype)
                done += len(batch)
            before += done


def _described(table: Table) -> str:
    if table.columns is None:
        return f"{table.width} columns"
    names = ", ".join(table.columns[:8])
    return f"{names} and {table.width - 8} more" if table.width > 8 else names


class PartBatch:
    """A batch whose rows are counted over all files; see `rnvp_runtime.tables.Batch`.

    ``dtype`` is that of all files, where they have several.
    """

    def __init__(self, batch: Batch, before: int, dtype: DTypeLike | None) -> None:
        self._batch, self.first_row, self._dtype = batch, before + batch.first_row, dtype

    def __len__(self) -> int:
        return len(self._batch)

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        """See `rnvp_runtime.tables.Batch`."""
        numbers = self._batch.numeric(names)
        return numbers if self._dtype is None else numbers.astype(self._dtype, copy=False)

    def columns(self) -> Mapping[str, Column]:
        """See `rnvp_runtime.tables.Batch`."""
        return self._batch.columns()
