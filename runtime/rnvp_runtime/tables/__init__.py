"""Tables on disk: CSV, Parquet and numpy's files, read and written in constant memory.

    table = open_table("data.csv")
    for batch in table:
        batch.numeric(["price", "carat"])        # (rows, 2) float64

    with open_writer("scores.parquet") as writer:
        writer.write({"id": ids, "log_prob": log_prob})

Training reads through here too (`read_columns`), so that a table means the same to every command.
Errors name the file, the column and the row; row 1 is the first row of data.
"""

from rnvp_runtime.tables.formats import open_table
from rnvp_runtime.tables.gaps import Gaps, refuse_gaps, rows_with_gaps, say_rows
from rnvp_runtime.tables.table import Batch, Column, Table
from rnvp_runtime.tables.whole import Numbers, read_columns
from rnvp_runtime.tables.writing import WRITABLE, Writer, check_writable, open_writer

__all__ = [
    "WRITABLE",
    "Batch",
    "Column",
    "Gaps",
    "Numbers",
    "Table",
    "Writer",
    "check_writable",
    "open_table",
    "open_writer",
    "read_columns",
    "refuse_gaps",
    "rows_with_gaps",
    "say_rows",
]
