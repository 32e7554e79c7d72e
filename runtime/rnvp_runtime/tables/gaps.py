"""Gaps: rows of a table that hold no number, or one beyond the dtype, where one is needed."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.table import Table

__all__ = ["Gaps", "describe_gaps", "finite_rows", "refuse_gaps", "rows_with_gaps"]

_SHOWN = 10


class Gaps:
    """Counts the rows with gaps while a table is read, and keeps the numbers of the first.

    Args:
        dtype: in which the numbers have to be finite.
    """

    def __init__(self, dtype: DTypeLike = np.float64) -> None:
        self._dtype = np.dtype(dtype)
        self._first: list[int] = []
        self._count = 0
        self._beyond = False  # whether a number is finite, but not in the dtype

    def add(self, numbers: NDArray[np.floating], first_row: int) -> None:
        """Check ``numbers``, (n, k), whose first row is row ``first_row`` of the table."""
        rows = rows_with_gaps(numbers, first_row, self._dtype)
        self._first += rows[: _SHOWN - len(self._first)]
        self._count += len(rows)
        self._beyond = self._beyond or (bool(rows) and len(rows) > len(rows_with_gaps(numbers)))

    def raise_if_any(self, path: str, advice: str) -> None:
        """Raise TableError if rows with gaps were found; ``advice`` says what to do."""
        if self._count:
            of = f" in {self._dtype}, the flow's dtype" if self._beyond else ""
            found = describe_gaps(self._first, self._count, of=of)
            raise TableError(f"{path}: {found}: {advice}")


def refuse_gaps(
    table: Table, names: Sequence[str], advice: str, dtype: DTypeLike = np.float64
) -> None:
    """Read the columns ``names`` of the whole table; raise TableError if rows have gaps there."""
    gaps = Gaps(dtype)
    for batch in table:
        gaps.add(batch.numeric(names), batch.first_row)
    gaps.raise_if_any(table.path, advice)


def rows_with_gaps(
    values: NDArray[np.floating], first_row: int = 1, dtype: DTypeLike = np.float64
) -> list[int]:
    """The numbers, from ``first_row``, of rows of ``values``, (n, k), that `finite_rows` lacks."""
    rows: list[int] = (np.flatnonzero(~finite_rows(values, dtype)) + first_row).tolist()
    return rows


def finite_rows(values: NDArray[np.floating], dtype: DTypeLike) -> NDArray[np.bool_]:
    """(n,): the rows of ``values``, (n, k), whose numbers are all finite in ``dtype``."""
    with np.errstate(over="ignore"):  # 1e39 is infinite in float32
        return np.asarray(np.isfinite(values.astype(dtype, copy=False)).all(axis=1))


def describe_gaps(
    rows: Iterable[int], count: int | None = None, *, shown: int = _SHOWN, of: str = ""
) -> str:
    """A text such as ``3 rows hold no finite number: 17, 204, 991``; it names the first ten rows.

    Args:
        rows: the numbers of the rows.
        count: how many there are, if ``rows`` are only the first of them.
        shown: how many are named.
        of: text after "no finite number", such as " in float32".
    """
    listed = list(rows)
    total = len(listed) if count is None else count
    named = ", ".join(map(str, listed[:shown]))
    more = (
        f" and {total - min(len(listed), shown):,} more" if total > min(len(listed), shown) else ""
    )
    verb = "row holds" if total == 1 else "rows hold"
    return f"{total:,} {verb} no finite number{of}: {named}{more}"
