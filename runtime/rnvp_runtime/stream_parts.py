"""A part of the samples of a seed, bit for bit as an unbroken run gives it.

Row i of a seed is always the same row, up to rounding: an engine may round differently for another
number of rows in a call. A part is therefore computed in the same calls as the whole. Its first and
last batch are computed in full and cut.
"""

from collections.abc import Iterator
from typing import Any

from rnvp_runtime.errors import InputError
from rnvp_runtime.flow import Flow
from rnvp_runtime.sampling import BATCH_ROWS, SampledRows, sample_table

__all__ = ["cut_rows", "part_bounds", "sample_part"]


def part_bounds(rows: int, parts: int) -> list[int]:
    """The first row of each of ``parts`` parts of nearly equal length, and the end of the last."""
    return [rows * i // parts for i in range(parts + 1)]


def sample_part(
    flow: Flow,
    low: int,
    high: int,
    of: int,
    *,
    seed: int,
    start: int = 0,
    temperature: float = 1.0,
    context: Any = None,
    log_prob: bool = False,
) -> Iterator[SampledRows]:
    """Rows ``low`` ... ``high - 1`` of ``sample_table(flow, of, ...)``.

    Args:
        flow: what to sample.
        low, high: the part, counted from ``start``.
        of: rows of the whole.
        seed, start, temperature, log_prob: as for `rnvp_runtime.sample_table`.
        context: one row for all samples.

    Yields:
        The rows in order. For ``low == high`` one batch of no rows.

    Raises:
        InputError: the part is not within the whole, or an argument does not fit the flow.
    """
    if not 0 <= low <= high <= of:
        raise InputError(f"rows {low} to {high} are not within the {of} rows of the whole")
    first = low // BATCH_ROWS * BATCH_ROWS if low < high else low
    last = min(of, -(-high // BATCH_ROWS) * BATCH_ROWS) if low < high else low
    for rows in sample_table(
        flow,
        last - first,
        seed=seed,
        start=start + first,
        temperature=temperature,
        context=context,
        log_prob=log_prob,
    ):
        at = rows.first_row - start
        yield cut_rows(rows, max(low - at, 0), min(high - at, len(rows)))


def cut_rows(rows: SampledRows, low: int, high: int) -> SampledRows:
    """Rows ``low`` ... ``high - 1`` of these, counted from 0."""
    return SampledRows(
        rows.first_row + low,
        {name: column[low:high] for name, column in rows.columns.items()},
        rows.x[low:high],
        None if rows.log_prob is None else rows.log_prob[low:high],
    )
