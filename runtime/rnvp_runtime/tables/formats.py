"""The table formats, by suffix: how each is read and written.

To add a format, write a module with a `TableFormat` and add one line to `FORMATS`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.publishing import publish_file
from rnvp_runtime.tables.csv_table import CSV, TSV
from rnvp_runtime.tables.numpy_table import NPY, NPZ
from rnvp_runtime.tables.parquet_table import PARQUET
from rnvp_runtime.tables.table import Table, TableFormat, WriteOptions, Writer

__all__ = ["FORMATS", "check_writable", "open_table", "open_writer", "output_format"]

FORMATS: dict[str, TableFormat] = {
    ".csv": CSV,
    ".tsv": TSV,
    ".parquet": PARQUET,
    ".npy": NPY,
    ".npz": NPZ,
}
"""Suffix, in lower case -> format."""


def open_table(path: str | PathLike[str], *, batch_rows: int = 65536) -> Table:
    """Open the table at ``path``. Its header is read and checked, its rows are not.

    Args:
        path: a file with one of the suffixes in `FORMATS`.
        batch_rows: the most rows of a batch.

    Raises:
        TableError: there is no such file, it has another suffix, cannot be read, or has no rows.
        MissingExtraError: the format needs a package that is not installed.
    """
    path, suffixes = Path(path), ", ".join(FORMATS)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise TableError(f"{path} {found}: give a table, {suffixes}")
    found_format = FORMATS.get(path.suffix.lower())
    if found_format is None:
        raise TableError(f"{path} is not one of {suffixes}")
    return found_format.read(path, batch_rows)


def output_format(path: str | PathLike[str] | None) -> TableFormat:
    """The format that `open_writer` writes to ``path``; CSV for None, standard output.

    Raises:
        TableError: the suffix is none that can be written.
    """
    if path is None:
        return CSV
    found = FORMATS.get(Path(path).suffix.lower())
    if found is None or found.write is None:
        suffixes = ", ".join(suffix for suffix, known in FORMATS.items() if known.write)
        raise TableError(f"cannot write {path}: name it one of {suffixes}")
    return found


def check_writable(path: str | PathLike[str]) -> None:
    """Refuse a path that `open_writer` would refuse, before the work that would be lost.

    Raises:
        TableError: the suffix is none that can be written.
        MissingExtraError: the format needs a package that is not installed.
    """
    if package := output_format(path).package:
        import_extra(package)


@contextmanager
def open_writer(
    path: str | PathLike[str] | None, *, delimiter: str = ",", vector: bool = False
) -> Iterator[Writer]:
    """A writer for ``path``, by its suffix. The file takes its place when the block ends.

    Args:
        path: where to write; None is CSV on standard output.
        delimiter: between the cells of a CSV file. A ``.tsv`` has tabs.
        vector: a ``.npy`` of one column has shape (n,) and not (n, 1).

    Raises:
        TableError, MissingExtraError: as `check_writable` does, or `path` cannot be written.
    """
    options, write = WriteOptions(delimiter, vector), output_format(path).write
    assert write is not None
    if path is None:
        with write(sys.stdout.buffer, options) as writer:
            yield writer
        return
    check_writable(path)
    with publish_file(path, error=TableError) as file, write(file, options) as writer:
        yield writer
