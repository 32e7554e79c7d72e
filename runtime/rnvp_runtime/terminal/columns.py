"""Tables of text for a terminal."""

from collections.abc import Sequence

from rnvp_runtime.terminal.printable import printable

__all__ = ["align_columns"]


def align_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines, with each column as wide as its widest cell; every cell is `printable`."""
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
