"""Parquet, through pyarrow (extra ``tables``)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing, repeated
from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra

__all__ = ["ParquetTable"]


class ParquetTable:
    """A Parquet file; see `rnvp_runtime.tables.Table`.

    Raises
    ------
    MissingExtraError
        pyarrow is not installed.
    """

    def __init__(self, path: Path, batch_rows: int) -> None:
        self.path, self._batch_rows = path, batch_rows
        with self._reading() as file:
            self.columns: tuple[str, ...] = tuple(file.schema_arrow.names)
            self.rows: int | None = file.metadata.num_rows
        if again := repeated(self.columns):
            raise TableError(f"{path} has more than one column {again[0]!r}: rename one")
        if not self.rows:
            raise TableError(f"{path} has column names but no rows")

    def __iter__(self) -> Iterator["ParquetBatch"]:
        first_row = 1
        with self._reading() as file:
            for batch in file.iter_batches(batch_size=self._batch_rows):
                if batch.num_rows:
                    yield ParquetBatch(self.path, first_row, batch)
                    first_row += batch.num_rows

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        arrow = import_extra("pyarrow")
        parquet = import_extra("pyarrow.parquet")
        try:
            with parquet.ParquetFile(self.path) as file:
                yield file
        except arrow.ArrowException as error:
            reason = " ".join(str(error).split())
            raise TableError(f"{self.path} cannot be read as Parquet: {reason}") from None


class ParquetBatch:
    """Consecutive rows of a Parquet file; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, path: Path, first_row: int, batch: Any) -> None:
        self._path, self.first_row, self._batch = path, first_row, batch

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def numeric(self, names: Sequence[str]) -> NDArray[np.float64]:
        if missing := explain_missing(names, self._batch.schema.names):
            raise TableError(f"{self._path} has {missing}")
        out = np.empty((len(self), len(names)))
        for i, name in enumerate(names):
            out[:, i] = self._numbers(name)
        return out

    def columns(self) -> dict[str, Any]:
        return dict(zip(self._batch.schema.names, self._batch.columns, strict=True))

    def _numbers(self, name: str) -> Any:
        arrow = import_extra("pyarrow")
        column = self._batch.column(name)
        kind, types = column.type, arrow.types
        if not any(
            is_kind(kind)
            for is_kind in (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)
        ):
            row = next((i for i, value in enumerate(column) if value.is_valid), 0)
            raise TableError(
                f"{self._path}: column {name!r}, row {self.first_row + row}: "
                f"{str(column[row])[:40]!r} is {kind}, not a number"
            )
        return column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False)
