"""Cells of text as numbers, and the error text for a cell that is not a number."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.missing import Missing

__all__ = ["BOOLEANS", "advice_on", "numbers_of_cells", "parse_number", "refuse_text", "shorten"]

BOOLEANS = {"False": 0.0, "false": 0.0, "FALSE": 0.0, "True": 1.0, "true": 1.0, "TRUE": 1.0}
"""The numbers that Parquet and data frames have for what a CSV file spells so."""

_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")  # 1,234 or 1,234.5
_GROUPED_OTHERWISE = re.compile(r"[+-]?[0-9]{1,3}([.'\u2019 \u00a0\u202f][0-9]{3})+(,[0-9]*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]*([eE][+-]?[0-9]+)?")


def parse_number(text: str) -> float | None:
    """The number that ``text`` is, without the white space around it; None if it is not one."""
    if "_" in text:  # float() reads 2020_01 as 202001
        return None
    try:
        return float(text)
    except ValueError:
        return None


def numbers_of_cells(
    cells: Sequence[str], missing: Missing, where: str, first_row: int
) -> NDArray[np.float64]:
    """The numbers of one column, NaN where a value is missing; True is 1 and False is 0.

    Args:
        cells: the cells of the column.
        missing: what counts as a missing value.
        where: the table and the column, for the error.
        first_row: the row of the first cell.

    Raises:
        TableError: a cell is neither a number, a boolean nor missing. The text names its row.
    """
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        if missing.matches(cell):
            out[i] = np.nan
            continue
        number = parse_number(cell)
        if number is None and (number := BOOLEANS.get(cell.strip())) is None:
            advice = advice_on([cell], cells)
            raise TableError(
                f"{where}, row {first_row + i}: {shorten(cell)} is not a number"
                f"{f': {advice}' if advice else ''}"
            )
        out[i] = number
    return missing.blank(out)


def refuse_text(
    cells: Iterable[str | None], missing: Missing, where: str, first_row: int, kind: str
) -> None:
    """Refuse a column stored as text, unless every cell of it is missing.

    Raises:
        TableError: names the first row that holds text.
    """
    for row, cell in enumerate(cells, first_row):
        if cell is not None and not missing.matches(cell):
            raise TableError(f"{where}, row {row}: {shorten(cell)} is {kind}, not a number")


def advice_on(faulty: Iterable[str], column: Iterable[str] = ()) -> str:
    """The advice for cells with commas or grouped digits; empty for other text.

    1,234 alone is 1234 with a thousands separator or 1.234 with a decimal comma. Other cells of
    the column decide, if they are one of the two and not the other.

    Args:
        faulty: the cells that are not numbers.
        column: other cells of the same column.
    """
    for cell in (*faulty, *column):
        text = cell.strip()
        if _GROUPED.fullmatch(text) and (text.count(",") > 1 or "." in text):
            return f"write it without thousands separators, {text.replace(',', '')}"
        if _DECIMAL_COMMA.fullmatch(text) and not _GROUPED.fullmatch(text) and len(text) > 1:
            return "write decimals with a point"
        if _GROUPED_OTHERWISE.fullmatch(text) and parse_number(text) is None:
            plain = re.sub(r"[.'\u2019 \u00a0\u202f]", "", text).replace(",", ".")
            return f"write it without thousands separators, {plain}"
    for cell in faulty:
        text = cell.strip()
        if _GROUPED.fullmatch(text):
            return (
                f"write {text.replace(',', '')} if the comma separates thousands, "
                f"{text.replace(',', '.')} if it is a decimal comma"
            )
    return ""


def shorten(cell: str) -> str:
    """The cell quoted, at most 40 characters of it."""
    return repr(cell if len(cell) <= 40 else f"{cell[:37]}...")
