"""Blocks of CSV records as numbers and text: with pyarrow, or without it, to the same result.

Each fast parser reads what is plain: numbers in ASCII digits, and missing values. If it refuses a
cell, or could have read one in another way than `numbers_of_cells`, that function reads the column.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.extras import optional
from rnvp_runtime.tables.cells import numbers_of_cells
from rnvp_runtime.tables.csv_records import Block
from rnvp_runtime.tables.missing import Missing

__all__ = ["arrow_texts", "cells_of", "numbers_of"]

ARROW_BYTES = 1 << 20
"""pyarrow reads blocks of this size and more: smaller ones take less time than its import."""


def numbers_of(
    block: Block, positions: Sequence[int], names: Sequence[str], missing: Missing, where: str
) -> NDArray[np.float64]:
    """Columns of ``block`` as numbers.

    Args:
        block: the records.
        positions: of the columns.
        names: their names, for errors.
        missing: what counts as a missing value.
        where: the table, for errors.

    Returns:
        (n, len(positions)), NaN where a value is missing.

    Raises:
        TableError: a cell is neither a number nor missing.
    """
    found = _by_arrow(block, positions, missing)
    if found is None:
        found = _by_numpy(block, positions, missing)
    if found is not None:
        return found
    columns = cells_of(block, positions)
    return (
        np.stack(
            [
                numbers_of_cells(cells, missing, f"{where}: column {name!r}", block.first_row)
                for cells, name in zip(columns, names, strict=True)
            ],
            axis=1,
        )
        if columns
        else np.empty((len(block), 0))
    )


def cells_of(block: Block, positions: Sequence[int]) -> list[list[str]]:
    """Columns of ``block`` as text."""
    if (found := arrow_texts(block, positions)) is not None:
        return [column.to_pylist() for column in found]
    rows = list(csv.reader(io.StringIO(block.data.decode(), newline=""), delimiter=block.delimiter))
    return [[row[at] for row in rows] for at in positions]


def arrow_texts(block: Block, positions: Sequence[int]) -> list[Any] | None:
    """Columns of ``block`` as pyarrow's arrays of strings; None if the csv module is to read it."""
    arrow = optional("pyarrow") if len(block.data) >= ARROW_BYTES else None
    if arrow is None:
        return None
    table = _read(block, positions, arrow.string(), [], block.has_quotes)
    return [table.column(str(at)).combine_chunks() for at in positions]


def _by_arrow(
    block: Block, positions: Sequence[int], missing: Missing
) -> NDArray[np.float64] | None:
    arrow = optional("pyarrow") if len(block.data) >= ARROW_BYTES else None
    if arrow is None:
        return None
    spellings = sorted({s for t in missing.spellings for s in (t, t.upper(), t.title())})
    spellings += ["NaN", *missing.added]
    try:
        table = _read(block, positions, arrow.float64(), spellings, block.has_quotes)
    except arrow.ArrowInvalid:
        return None
    out = np.empty((len(block), len(positions)))
    for i, at in enumerate(positions):
        column = table.column(str(at))
        out[:, i] = column.to_numpy()
        # pyarrow also reads nan(...) as NaN, which Python and the csv parser refuse.
        if np.count_nonzero(np.isnan(out[:, i])) != column.null_count:
            return None
    return missing.blank(out)


def _read(block: Block, positions: Sequence[int], kind: Any, nulls: list[str], quoted: bool) -> Any:
    """The columns as a table of pyarrow, of type ``kind``, named by their positions."""
    arrow, reader = optional("pyarrow"), optional("pyarrow.csv")
    assert arrow is not None
    assert reader is not None
    names = [str(at) for at in positions]
    return reader.read_csv(
        arrow.BufferReader(block.data),
        read_options=reader.ReadOptions(
            column_names=[str(at) for at in range(block.width)],
            block_size=len(block.data) + 1,
            use_threads=False,
        ),
        parse_options=reader.ParseOptions(
            delimiter=block.delimiter,
            quote_char='"' if quoted else False,
            newlines_in_values=quoted,
        ),
        convert_options=reader.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, kind),
            null_values=nulls,
            strings_can_be_null=False,
            check_utf8=False,  # the block was checked
        ),
    )


def _by_numpy(
    block: Block, positions: Sequence[int], missing: Missing
) -> NDArray[np.float64] | None:
    if block.has_quotes or not positions:
        return None
    try:
        found = np.loadtxt(
            io.StringIO(block.data.decode()),
            delimiter=block.delimiter,
            comments=None,
            usecols=list(positions),
            ndmin=2,
        )
    except ValueError:
        return None
    return missing.blank(found)
