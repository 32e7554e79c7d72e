"""Several files that are one table: a folder or a pattern of Parquet, CSV or any one format."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import TableError
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
        counts = [part.rows for part in parts]
        self.rows = None if None in counts else sum(count or 0 for count in counts)

    def __getattr__(self, name: str) -> Any:
        if name in ("delimiter", "schema"):  # what a copy of the table keeps
            return getattr(self._parts[0], name)
        raise AttributeError(name)

    def __iter__(self) -> Iterator["PartBatch"]:
        before = 0
        for part in self._parts:
            done = 0
            for batch in part:
                yield PartBatch(batch, before)
                done += len(batch)
            before += done


def _described(table: Table) -> str:
    if table.columns is None:
        return f"{table.width} columns"
    names = ", ".join(table.columns[:8])
    return f"{names} and {table.width - 8} more" if table.width > 8 else names


class PartBatch:
    """A batch whose rows are counted over all files; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, batch: Batch, before: int) -> None:
        self._batch, self.first_row = batch, before + batch.first_row

    def __len__(self) -> int:
        return len(self._batch)

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        """See `rnvp_runtime.tables.Batch`."""
        return self._batch.numeric(names)

    def columns(self) -> Mapping[str, Column]:
        """See `rnvp_runtime.tables.Batch`."""
        return self._batch.columns()
