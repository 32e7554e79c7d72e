"""Write docs/tables.md: each dialect is read, with pyarrow and without: python docs/tables.py."""

import gzip
import io
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from rnvp_runtime.errors import RnvpError
from rnvp_runtime.tables import FORMATS, SPELLINGS, csv_parsing, open_table
from rnvp_runtime.tables.compression import CODECS

HEAD = f"""# Tables

`rnvp-score`, `rnvp-sample --context-from` and `rnvp-train` read the same tables, and all of them in
constant memory. Formats: {", ".join(FORMATS)}. Compression: {", ".join(CODECS)}, and a .zip that holds
one table. A table may be a file, a folder or a pattern of files that have the same columns, a pipe,
`-` for standard input, or a URI of pyarrow's filesystems or of fsspec (`s3://bucket/key.parquet`).
What has no suffix is known by its first bytes. A compressed file may hold several streams, which are
read as one, and nothing else after them. Parquet, Arrow, zstd and URIs need the extra `tables`.

CSV is read strictly. A malformed quote or a row of another width is an error that names the line.
A cell is copied to the output as it stands. The output has the separator of the table, and a first
line `sep=X` where the separator X would not be detected, as for `|`. A column name that begins with `=`, `+`, `-`, `@`, tab
or CR is written with an apostrophe before it, so that a spreadsheet does not run it as a formula;
the apostrophe is taken away when such a name is read. An output that replaces a file keeps its
permissions.

A .parquet or .arrow keeps the types of its columns. Where the files of a folder differ in a type, the
wider one is written, such as double for int64 and double; if there is none, as for int64 and string,
the error names the files. A .csv holds what has a text.

These are missing values, in any case, in CSV, in columns of text of Parquet and the other formats,
and in data frames: the empty cell, {", ".join(f"`{s}`" for s in sorted(SPELLINGS) if s)}. `--missing
TEXT` adds another; a number is compared as a number. A column of nulls is missing too.

In CSV every cell is text. In the other formats and in data frames a column of text holds missing
values only: other text is refused, also text that looks like a number.

In a CSV column of numbers `True`, `true` and `TRUE` are 1, and `False`, `false` and `FALSE` are 0, as in
a column of booleans of the other formats. `rnvp-train` takes a column of them with other text for text.

Limits: a header has at most 1 MiB, a cell 131,072 characters, a line 16 MiB. A compressed file that
has to be unpacked to be read may grow to 256 MiB, and beyond that to 200 times its size.

The table is made by `python docs/tables.py`, which reads each dialect with pyarrow and without it.
A test checks that the page is up to date. The columns `a` and `b` are read as numbers.

| dialect | result |
|---|---|
"""


def _bytes(write: Any, *args: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    write(file, *args, **options)
    return file.getvalue()


def _zip(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "a,b\n1,2\n")
    return file.getvalue()


DIALECTS: dict[str, tuple[str, str | bytes]] = {
    "comma": ("t.csv", "a,b\n1,2\n"),
    "semicolon": ("t.csv", "a;b\n1;2\n"),
    "tab": ("t.tsv", "a\tb\n1\t2\n"),
    "a first line `sep=;`": ("t.csv", "sep=;\na;b\n1;2\n"),
    "a first line `sep=|`": ("t.csv", "sep=|\na|b\n1|2\n"),
    "`|` without it": ("t.csv", "a|b\n1|2\n"),
    "spaces": ("t.csv", "a  b\n1  2\n"),
    "a byte order mark": ("t.csv", "\ufeffa,b\n1,2\n"),
    "UTF-16": ("t.csv", "a,b\n1,2\n".encode("utf-16")),
    "Latin-1": ("t.csv", "a,b,c\n1,2,é\n".encode("latin-1")),
    "CRLF": ("t.csv", "a,b\r\n1,2\r\n"),
    "CR": ("t.csv", "a,b\r1,2\r"),
    "blank lines": ("t.csv", "a,b\n\n1,2\n\n"),
    "no line end at the end": ("t.csv", "a,b\n1,2"),
    "a line end in a quoted cell": ("t.csv", 'a,b,c\n1,2,"x\ny"\n'),
    "a line end in a quoted name": ("t.csv", 'a,b,"c\n(m)"\n1,2,3\n'),
    "a quote inside an unquoted cell": ("t.csv", 'a,b,c\n1,2,5" pipe\n'),
    "a quoted cell that does not end": ("t.csv", 'a,b\n1,"2\n3,4\n'),
    "text after a closing quote": ("t.csv", 'a,b\n1,"2"x\n'),
    "a row that is too short": ("t.csv", "a,b\n1\n"),
    "no header": ("t.csv", "1,2\n3,4\n"),
    "missing values": ("t.csv", "a,b\nNA,\n\\N,#DIV/0!\n1,2\n"),
    "booleans": ("t.csv", "a,b\nTrue,FALSE\n"),
    "decimal commas": ("t.csv", "a;b\n1,5;2\n"),
    "thousands separators": ("t.csv", "a;b\n1,234,567;2\n"),
    "`1,234`": ("t.csv", "a;b\n1,234;2\n"),
    "text": ("t.csv", "a,b\nred,2\n"),
    "a spreadsheet": ("t.xlsx", b"PK\x03\x04"),
    ".csv.gz": ("t.csv.gz", gzip.compress(b"a,b\n1,2\n")),
    "a .zip of one table": ("t.zip", _zip("t.csv")),
    "a .zip of two": ("t.zip", _zip("t.csv", "u.csv")),
    ".npy": ("t.npy", _bytes(np.save, np.array([[1.0, 2.0]]))),
    "a .npy of two arrays": ("t.npy", _bytes(np.save, np.array([[1.0, 2.0]])) * 2),
    ".npz": ("t.npz", _bytes(np.savez, a=np.ones(1), b=np.full(1, 2.0))),
    "a damaged .npz": ("t.npz", b"PK\x03\x04damaged"),
}


def result(folder: Path, name: str, content: str | bytes) -> str:
    """What becomes of a dialect: the numbers of its first rows, or the error."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        rows = np.concatenate([batch.numeric(["a", "b"]) for batch in open_table(path)])
    except RnvpError as error:
        said = str(error).replace(str(folder), "").replace("|", r"\|").lstrip("/\\")
        return f"error: {said}"
    return "read: " + "; ".join(", ".join(f"{number:g}" for number in row) for row in rows)


def tables_page() -> str:
    """The page, as Markdown.

    Raises:
        AssertionError: a dialect is read in another way without pyarrow.
    """
    lines = []
    with tempfile.TemporaryDirectory() as name, mock.patch.object(csv_parsing, "ARROW_BYTES", 0):
        for dialect, (file, content) in DIALECTS.items():
            found = result(Path(name), file, content)
            with mock.patch.dict(sys.modules, {"pyarrow": None}):
                without = result(Path(name), file, content)
            assert found == without, (dialect, found, without)
            lines.append(f"| {dialect.replace('|', chr(92) + '|')} | {found} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(tables_page(), encoding="utf-8")
