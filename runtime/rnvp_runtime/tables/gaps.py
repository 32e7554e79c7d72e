"""The rows of a table that hold NaN or infinity where a number is needed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.table import Table

__all__ = ["Gaps", "refuse_gaps", "rows_with_gaps", "say_rows"]

_SHOWN = 10


class Gaps:
    """Such rows, as a table is read: their count, and the numbers of the first of them."""

    def __init__(self) -> None:
        self._first: list[int] = []
        self._count = 0

    def note(self, numbers: NDArray[np.floating], first_row: int) -> None:
        """Add those of ``numbers``, (n, k), whose first row is the table's ``first_row``."""
        rows = rows_with_gaps(numbers, first_row)
        self._first += rows[: _SHOWN - len(self._first)]
        self._count += len(rows)

    def refuse(self, path: Path, advice: str) -> None:
        """Raise TableError if there are any."""
        if self._count:
            raise TableError(f"{path}: {say_rows(self._first, self._count)}: {advice}")


def refuse_gaps(table: Table, names: Sequence[str], advice: str) -> None:
    """Read the columns ``names`` of all of ``table``; raise TableError if rows have gaps there."""
    gaps = Gaps()
    for batch in table:
        gaps.note(batch.numeric(names), batch.first_row)
    gaps.refuse(table.path, advice)


def rows_with_gaps(values: NDArray[np.floating], first_row: int = 1) -> list[int]:
    """The numbers, from ``first_row``, of rows of ``values``, (n, k), with NaN or infinity."""
    rows: list[int] = (np.flatnonzero(~np.isfinite(values).all(axis=1)) + first_row).tolist()
    return rows


def say_rows(rows: Iterable[int], count: int | None = None, *, shown: int = _SHOWN) -> str:
    """``3 rows hold no finite number: 17, 204, 991``; the first ten are named.

    ``count`` is how many there are, where ``rows`` are only the first of them.
    """
    listed = list(rows)
    total = len(listed) if count is None else count
    named = ", ".join(map(str, listed[:shown]))
    more = (
        f" and {total - min(len(listed), shown):,} more" if total > min(len(listed), shown) else ""
    )
    verb = "row holds" if total == 1 else "rows hold"
    return f"{total:,} {verb} no finite number: {named}{more}"
