"""Log-densities of the rows of a table, a batch at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from os import PathLike
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.anomalies import reference_of
from rnvp_runtime.anomaly_columns import AnomalyColumns
from rnvp_runtime.errors import InputError, TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.flow import Flow
from rnvp_runtime.padded_rows import padded_log_prob
from rnvp_runtime.tables import (
    FORMATS,
    Batch,
    Column,
    Gaps,
    Table,
    TableFormat,
    ahead,
    finite_rows,
    open_table,
)

__all__ = ["OnNonfinite", "ScoredRows", "score_table"]

OnNonfinite: TypeAlias = Literal["error", "keep", "drop"]
"""What is done with rows that hold NaN, infinity, an empty cell, or a number beyond the dtype."""


@dataclass(frozen=True)
class ScoredRows:
    """Consecutive rows of a table with their log-densities."""

    first_row: int  # of the table; its first row of data is row 1
    columns: Mapping[str, Column]  # to write: the table's own, then log_prob
    log_prob: NDArray[Any]  # (n,), nats, in the flow's dtype
    finite: int  # rows whose log_prob is neither NaN nor infinite
    finite_sum: float  # sum of their log_prob
    unlikely: int = 0  # rows that the threshold flags
    dropped: int = 0  # rows that were left out, with ``nan="drop"``

    def __len__(self) -> int:
        return len(self.log_prob)


def score_table(
    flow: Flow,
    table: Table | str | PathLike[str],
    *,
    into: TableFormat = FORMATS[".csv"],
    nan: OnNonfinite = "error",
    advice: str = "correct them, or pass nan='keep' or nan='drop'",
    anomalies: AnomalyColumns | None = None,
    name: str = "log_prob",
) -> Iterator[ScoredRows]:
    """Score every row of ``table``, in constant memory.

    Another thread reads the next rows while the flow scores the last ones.

    Columns are found by name, those of the context too. A table without names holds the flow's
    columns in order, then the context's.

    Args:
        flow: the density.
        table: a path, or what `rnvp_runtime.tables.open_table` returns.
        into: the format that the columns are meant for. If it has no names, log_prob is the only
            column. If it has types and the table has none, the columns that the flow reads are
            numbers and the others stay text.
        nan: with ``"error"``, a TableError that names the rows with NaN, infinity, empty cells or
            numbers beyond the flow's dtype is raised after the last batch. With ``"keep"`` they
            are scored like any other row, with ``"drop"`` they are left out.
        advice: what that error tells the user to do.
        anomalies: more columns to add, which say how unlikely a row is and why.
        name: of the added column of log_prob.

    Yields:
        The rows in order, some thousands at a time.

    Raises:
        BundleError: the bundle lacks what ``anomalies`` needs.
        InputError: the flow has a column called ``name``, or the output has no column names and
            ``anomalies`` needs them.
        TableError: the table cannot be read, does not fit the flow, or has a column that is added.

    Example:
        >>> for rows in rnvp_runtime.score_table(flow, "data.csv"):   # doctest: +SKIP
        ...     print(rows.log_prob.mean())
    """
    source = open_table(table) if isinstance(table, str | PathLike) else table
    names = flow.columns + flow.context_columns
    added = anomalies or AnomalyColumns()
    new = (name, *added.names(flow.dim))
    if into.has_names and name in names:
        raise InputError(
            f"the flow itself learnt a column called {name}: write a .npy, which holds only "
            "densities, or give the new column another name (--as NAME)"
        )
    if len(set(new)) < len(new):
        raise InputError(f"{name!r} is the name of another added column: choose another one")
    if added.names(flow.dim) and not into.has_names:
        raise InputError(
            "the output has no column names, which quantiles and explanations need: write a .csv"
        )
    if into.has_names:
        for column in new:
            if column in (source.columns or ()):
                raise TableError(
                    f"{source.path} has a column {column!r} already: rename it, or write a .npy"
                )
    if added.names(flow.dim):
        reference_of(flow)
    return _scored(flow, source, names, into, nan, advice, added, name)


def _scored(
    flow: Flow,
    table: Table,
    names: Sequence[str],
    into: TableFormat,
    nan: OnNonfinite,
    advice: str,
    added: AnomalyColumns,
    name: str,
) -> Iterator[ScoredRows]:
    dtype = flow.manifest.dtype
    gaps = Gaps(dtype)
    for batch, numbers in ahead((batch, batch.numeric(names)) for batch in table):
        if nan == "error":
            gaps.add(numbers, batch.first_row)
        kept = finite_rows(numbers, dtype) if nan == "drop" else np.ones(len(numbers), bool)
        columns = _columns_to_keep(batch, names, numbers, into)
        if not kept.all():
            columns = {name: _chosen(column, kept) for name, column in columns.items()}
            numbers = numbers[kept]
        x, context = numbers[:, : flow.dim], numbers[:, flow.dim :] if flow.context_dim else None
        log_prob = padded_log_prob(flow, x, context)
        finite = log_prob[np.isfinite(log_prob)]
        more = added.of(flow, x, context, log_prob)
        yield ScoredRows(
            batch.first_row,
            {**columns, name: log_prob, **more},
            log_prob,
            len(finite),
            float(finite.sum(dtype=np.float64)),
            int(np.sum(more.get("unlikely", 0))),
            len(kept) - len(numbers),
        )
    gaps.raise_if_any(table.path, advice)


def _chosen(column: Column, rows: NDArray[np.bool_]) -> Column:
    """The cells of a column in the rows that are True."""
    if isinstance(column, np.ndarray):
        return column[rows]
    if hasattr(column, "filter"):  # pyarrow's, which before 17 takes no mask of numpy
        return column.filter(import_extra("pyarrow").array(rows))
    return list(compress(column, rows))


def _columns_to_keep(
    batch: Batch, names: Sequence[str], numbers: NDArray[np.floating], into: TableFormat
) -> Mapping[str, Column]:
    """The columns of ``batch`` to write beside log_prob; see `score_table`."""
    if not into.has_names:
        return {}
    columns = batch.columns()
    as_numbers = dict(zip(names, numbers.T, strict=True))
    if not columns:
        return as_numbers
    text = any(not hasattr(c, "dtype") and not hasattr(c, "type") for c in columns.values())
    return {**columns, **as_numbers} if into.has_types and text else columns
