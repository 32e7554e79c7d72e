"""Gaps: rows of a table that hold NaN or infinity where a number is needed."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.table import Table

__all__ = ["Gaps", "describe_gaps", "refuse_gaps", "rows_with_gaps"]

_SHOWN = 10


class Gaps:
    """Counts the rows with gaps while a table is read, and keeps the numbers of the first."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._count = 0

    def add(self, numbers: NDArray[np.floating], first_row: int) -> None:
        """Check ``numbers``, (n, k), whose first row is row ``first_row`` of the table."""
        rows = rows_with_gaps(numbers, first_row)
        self._first += rows[: _SHOWN - len(self._first)]
        self._count += len(rows)

    def raise_if_any(self, path: str, advice: str) -> None:
        """Raise TableError if rows with gaps were found; ``advice`` says what to do."""
        if self._count:
            raise TableError(f"{path}: {describe_gaps(self._first, self._count)}: {advice}")


def refuse_gaps(table: Table, names: Sequence[str], advice: str) -> None:
    """Read the columns ``names`` of the whole table; raise TableError if rows have gaps there."""
    gaps = Gaps()
    for batch in table:
        gaps.add(batch.numeric(names), batch.first_row)
    gaps.raise_if_any(table.path, advice)


def rows_with_gaps(values: NDArray[np.floating], first_row: int = 1) -> list[int]:
    """The numbers, from ``first_row``, of rows of ``values``, (n, k), with NaN or infinity."""
    rows: list[int] = (np.flatnonzero(~np.isfinite(values).all(axis=1)) + first_row).tolist()
    return rows


def describe_gaps(rows: Iterable[int], count: int | None = None, *, shown: int = _SHOWN) -> str:
    """A text such as ``3 rows hold no finite number: 17, 204, 991``; it names the first ten rows.

    Args:
        rows: the numbers of the rows.
        count: how many there are, if ``rows`` are only the first of them.
    """
    listed = list(rows)
    total = len(listed) if count is None else count
    named = ", ".join(map(str, listed[:shown]))
    more = (
        f" and {total - min(len(listed), shown):,} more" if total > min(len(listed), shown) else ""
    )
    verb = "row holds" if total == 1 else "rows hold"
    return f"{total:,} {verb} no finite number: {named}{more}"
