"""Tables: CSV, Parquet, Arrow and numpy's files, read and written in constant memory.

    table = open_table("data.csv")
    for batch in table:
        batch.numeric(["price", "carat"])        # (rows, 2) float64

    with open_writer("scores.parquet") as writer:
        writer.write({"id": ids, "log_prob": log_prob})

Training reads tables through here too, so that every command reads a table in the same way. Errors
name the file, the column and the row; row 1 is the first row of data.

A table passes three layers: where its bytes are (`sources`), how they are compressed
(`compression`), and their format (`formats`).
"""

from rnvp_runtime.tables.cells import BOOLEANS, advice_on, parse_number, shorten
from rnvp_runtime.tables.formats import (
    FORMATS,
    check_writable,
    open_table,
    open_writer,
    output_format,
)
from rnvp_runtime.tables.gaps import (
    Gaps,
    describe_gaps,
    finite_rows,
    refuse_gaps,
    rows_with_gaps,
)
from rnvp_runtime.tables.missing import SPELLINGS, Missing
from rnvp_runtime.tables.overlap import ahead, behind
from rnvp_runtime.tables.row_estimate import estimate_rows
from rnvp_runtime.tables.table import Batch, Column, Table, TableFormat, WriteOptions, Writer

__all__ = [
    "BOOLEANS",
    "FORMATS",
    "SPELLINGS",
    "Batch",
    "Column",
    "Gaps",
    "Missing",
    "Table",
    "TableFormat",
    "WriteOptions",
    "Writer",
    "advice_on",
    "ahead",
    "behind",
    "check_writable",
    "describe_gaps",
    "estimate_rows",
    "finite_rows",
    "open_table",
    "open_writer",
    "output_format",
    "parse_number",
    "refuse_gaps",
    "rows_with_gaps",
    "shorten",
]
