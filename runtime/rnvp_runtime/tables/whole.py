"""A whole table as numbers, for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing
from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.formats import open_table
from rnvp_runtime.tables.table import Table

__all__ = ["Numbers", "read_columns"]


@dataclass(frozen=True)
class Numbers:
    """The numeric columns of a table."""

    columns: tuple[str, ...]  # k names; x0, x1, ... where the table has none
    values: NDArray[np.float64]  # (n, k), NaN where a cell is empty
    skipped: tuple[str, ...]  # columns left out: text, or without a name


def read_columns(path: str | PathLike[str], columns: Sequence[str] | None = None) -> Numbers:
    """Read ``columns`` of the table at ``path``, or all that hold only numbers.

    Args:
        path: a file with a suffix in `rnvp_runtime.tables.FORMATS`.
        columns: names, in the order wanted. By default every column all of whose cells are
            numbers or empty.

    Raises:
        TableError: the table cannot be read, a wanted column is missing or holds text, or, by
            default, no column is numeric.
    """
    table = open_table(path)
    if table.columns is None:
        return _by_position(table, columns)
    present = table.columns
    if columns is not None:
        parts = [batch.numeric(columns) for batch in table]
        return Numbers(tuple(columns), _joined(parts), ())
    kept: dict[str, list[NDArray[np.floating]]] = {name: [] for name in present if name}
    for batch in table:
        for name in list(kept):
            try:
                kept[name].append(batch.numeric([name]))
            except TableError:
                del kept[name]
    if not kept:
        raise TableError(f"{path} has no numeric column; there are {', '.join(present)}")
    values = np.concatenate([_joined(parts) for parts in kept.values()], axis=1)
    return Numbers(tuple(kept), values, tuple(n for n in present if n not in kept))


def _by_position(table: Table, columns: Sequence[str] | None) -> Numbers:
    names = tuple(f"x{i}" for i in range(table.width))
    wanted = names if columns is None else tuple(columns)
    if missing := explain_missing(wanted, names):
        raise TableError(f"{table.path} has {missing}")
    values = _joined([batch.numeric(names) for batch in table])
    return Numbers(wanted, values[:, [names.index(name) for name in wanted]], ())


def _joined(parts: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    return np.concatenate(parts, dtype=np.float64)
