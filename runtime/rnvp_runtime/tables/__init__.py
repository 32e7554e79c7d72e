"""Tables on disk: CSV, Parquet and numpy's files, read and written in constant memory.

    table = open_table("data.csv")
    for batch in table:
        batch.numeric(["price", "carat"])        # (rows, 2) float64

    with open_writer("scores.parquet") as writer:
        writer.write({"id": ids, "log_prob": log_prob})

Training reads tables through here too (`read_columns`), so that every command reads a table in
the same way. Errors name the file, the column and the row; row 1 is the first row of data.
"""

from rnvp_runtime.tables.formats import (
    FORMATS,
    check_writable,
    open_table,
    open_writer,
    output_format,
)
from rnvp_runtime.tables.gaps import Gaps, describe_gaps, refuse_gaps, rows_with_gaps
from rnvp_runtime.tables.table import Batch, Column, Table, TableFormat, WriteOptions, Writer
from rnvp_runtime.tables.whole import Numbers, read_columns

__all__ = [
    "FORMATS",
    "Batch",
    "Column",
    "Gaps",
    "Numbers",
    "Table",
    "TableFormat",
    "WriteOptions",
    "Writer",
    "check_writable",
    "describe_gaps",
    "open_table",
    "open_writer",
    "output_format",
    "read_columns",
    "refuse_gaps",
    "rows_with_gaps",
]
