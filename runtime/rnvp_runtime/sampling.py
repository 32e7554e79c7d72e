"""Samples of a flow as a table, a batch at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import InputError
from rnvp_runtime.flow import Flow
from rnvp_runtime.inputs import is_frame, rows_of, shape_of
from rnvp_runtime.stream import fresh_seed, signed_seed
from rnvp_runtime.tables import Column, Table, ahead, open_table, refuse_gaps

__all__ = ["BATCH_ROWS", "SampledRows", "sample_table"]

BATCH_ROWS = 65536
"""Rows that the flow is asked for at a time."""


@dataclass(frozen=True)
class SampledRows:
    """Consecutive rows of the samples of a seed."""

    first_row: int  # its number in the samples of the seed, from 0
    columns: Mapping[str, Column]  # to write: the flow's columns, its context's, and log_prob
    x: NDArray[Any]  # (n, dim), in the flow's dtype
    log_prob: NDArray[Any] | None  # (n,), nats, if asked for
    context: NDArray[Any] | None = None  # (n, context_dim), for a conditional flow

    def __len__(self) -> int:
        return len(self.x)


def sample_table(
    flow: Flow,
    n: int | None = None,
    *,
    seed: int | None = None,
    start: int = 0,
    temperature: float = 1.0,
    context: Any = None,
    context_from: Table | str | PathLike[str] | None = None,
    log_prob: bool = False,
) -> Iterator[SampledRows]:
    """Draw rows ``start`` ... ``start + n - 1`` of the samples of ``seed``, in constant memory.

    Args:
        flow: what to sample.
        n: number of rows; None with ``context_from``.
        seed, start, temperature: as for `Flow.sample`.
        context: one row for all samples, or (n, context_dim).
        context_from: a table, or its path. One row is drawn for each of its rows, whose context
            columns are read by name.
        log_prob: also give the log-density of each sample.

    Yields:
        The rows in order, at most 65,536 at a time. For n = 0, one batch of no rows.

    Raises:
        InputError: an argument does not fit the flow, or ``log_prob`` is asked of a flow that has
            a column of that name.
        TableError: the table of context cannot be read, or has rows without a finite number.

    Example:
        >>> for rows in rnvp_runtime.sample_table(flow, 10**9, seed=7):   # doctest: +SKIP
        ...     histogram.add(rows.x)
    """
    if (n is None) == (context_from is None):
        raise InputError("give the number of rows, n, or context_from, and not both")
    if context is not None and context_from is not None:
        raise InputError("give context or context_from, and not both")
    if log_prob and "log_prob" in flow.columns + flow.context_columns:
        raise InputError("the flow itself learnt a column called log_prob: sample without log_prob")
    seed = fresh_seed() if seed is None else seed
    signed_seed(seed)
    if context_from is None:
        blocks = _blocks(flow, n or 0, context)
    else:
        table = (
            open_table(context_from) if isinstance(context_from, str | PathLike) else context_from
        )
        refuse_gaps(table, flow.context_columns, "correct them", flow.manifest.dtype)
        blocks = ahead((len(batch), batch.numeric(flow.context_columns)) for batch in table)
    return _sampled(flow, blocks, seed, start, temperature, log_prob)


def _sampled(
    flow: Flow,
    blocks: Iterator[tuple[int, Any]],
    seed: int,
    start: int,
    temperature: float,
    with_log_prob: bool,
) -> Iterator[SampledRows]:
    for count, context in blocks:
        options = {"seed": seed, "start": start, "temperature": temperature, "context": context}
        x, log_prob = (
            flow.sample(count, **options, return_log_prob=True)
            if with_log_prob
            else (flow.sample(count, **options), None)
        )
        columns = dict(zip(flow.columns, x.T, strict=True))
        given = None
        if flow.context_dim:  # kept, so that the samples can be scored again
            with np.errstate(over="ignore"):  # beyond float32's range is infinity, as in the flow
                given = np.asarray(context, x.dtype)
            given = np.broadcast_to(given, (count, flow.context_dim))
            columns |= dict(zip(flow.context_columns, np.ascontiguousarray(given.T), strict=True))
        if log_prob is not None:
            columns["log_prob"] = log_prob
        yield SampledRows(start, columns, x, log_prob, given)
        start += count


def _blocks(flow: Flow, n: int, context: Any) -> Iterator[tuple[int, Any]]:
    """(number of rows, their context) of each batch."""
    context_of = _context_of(flow, n, context)
    for low in range(0, max(n, 1), BATCH_ROWS):
        high = min(n, low + BATCH_ROWS)
        yield high - low, context_of(low, high)


def _context_of(flow: Flow, n: int, context: Any) -> Callable[[int, int], Any]:
    """The context of rows ``low`` ... ``high - 1``; `Flow.sample` judges one for all rows."""
    if context is None or not flow.context_dim:
        return lambda low, high: context
    if not is_frame(context) and len(shape_of(context) or ()) < 2:
        return lambda low, high: context
    rows = rows_of(context, "context", flow.context_columns, flow.manifest.dtype)
    if len(rows) == n:
        return rows.block
    if len(rows) != 1:
        raise InputError(f"context has {len(rows)} rows: pass one, or one for each of {n}")
    row = rows.block(0, 1)
    return lambda low, high: row
