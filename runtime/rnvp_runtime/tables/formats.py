"""The table formats, by suffix: how each is read and written.

To add a format, write a module with a `TableFormat` and add one line to `FORMATS`. Where the bytes
are (`sources`) and how they are compressed (`compression`) are layers in front of the formats:
each format gets a `Source`, and can seek in it if it says so.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.publishing import publish_file
from rnvp_runtime.standard_streams import binary_stream
from rnvp_runtime.tables.arrow_table import ARROW
from rnvp_runtime.tables.compression import (
    CODECS,
    compressing,
    compression_of,
    kept_on_disk,
    uncompressed,
)
from rnvp_runtime.tables.csv_writer import CSV, TSV
from rnvp_runtime.tables.excel import EXCEL, EXCEL_SUFFIXES, excel_error
from rnvp_runtime.tables.missing import Missing
from rnvp_runtime.tables.numpy_table import NPY, NPZ
from rnvp_runtime.tables.parquet_table import PARQUET
from rnvp_runtime.tables.parts import PartsTable
from rnvp_runtime.tables.sources import Source, find_sources
from rnvp_runtime.tables.table import ReadOptions, Table, TableFormat, WriteOptions, Writer

__all__ = ["FORMATS", "check_writable", "open_table", "open_writer", "output_format"]

FORMATS: dict[str, TableFormat] = {
    ".csv": CSV,
    ".tsv": TSV,
    ".parquet": PARQUET,
    ".npy": NPY,
    ".npz": NPZ,
    ".arrow": ARROW,
    ".feather": ARROW,
    ".ipc": ARROW,
}
"""Suffix, in lower case -> format."""

Location = str | PathLike[str]


def open_table(
    location: Location, *, batch_rows: int = 65536, missing: Iterable[str] = ()
) -> Table:
    """Open the table at ``location``. Its header is read and checked, its rows are not.

    Args:
        location: a file with one of the suffixes in `FORMATS`, compressed or not (``.gz``,
            ``.bz2``, ``.xz``, ``.zst``, ``.zip``); a folder or a pattern of such files, which are
            one table; a pipe, or ``-`` for standard input; or a URI, such as ``s3://bucket/key``.
            A file without a suffix is recognised by its first bytes, or else read as CSV.
        batch_rows: the most rows of a batch.
        missing: spellings of a missing value, beside those of `rnvp_runtime.tables.SPELLINGS`.

    Raises:
        TableError: nothing is there, it has another suffix, cannot be read, or has no rows.
        MissingExtraError: the format needs a package that is not installed.
    """
    options = ReadOptions(batch_rows, Missing(missing))
    name = os.fspath(location)
    sources, are_parts = find_sources(name)
    if not are_parts:
        return _open(sources[0], options)
    return PartsTable(name, [_open(source, options) for source in sources])


def _open(source: Source, options: ReadOptions) -> Table:
    source = uncompressed(source, lambda name: _suffix(name) in FORMATS)
    suffix = _suffix(source.file_name)
    if suffix in EXCEL_SUFFIXES:
        raise excel_error(source.name)
    known = FORMATS.get(suffix)
    if suffix and known is None:
        raise TableError(f"{source.name} is not one of {', '.join(FORMATS)}")
    if known is None or not known.magic:
        held = _by_content(source)
        packed = compression_of(source) if known is not None else ""
        if packed:
            raise TableError(
                f"{source.name} is called {suffix}, but holds {packed}: rename it "
                f"{source.file_name}{packed}"
            )
        if known is not None and held is not None:
            raise TableError(f"{source.name} is called {suffix}, but holds {held}: rename it")
        known = known or FORMATS[held or ".csv"]
    return known.read(kept_on_disk(source) if known.seeks else source, options)


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _by_content(source: Source) -> str | None:
    """The suffix of the format that the first bytes belong to; None for text."""
    with source.open() as file:
        head = file.read(8)
    if head.startswith(EXCEL):
        raise excel_error(source.name)
    return next(
        (s for s, known in FORMATS.items() if known.magic and head.startswith(known.magic)), None
    )


def output_format(location: Location | None) -> TableFormat:
    """The format that `open_writer` writes to ``location``; CSV for None, standard output.

    Raises:
        TableError: the suffix is none that can be written.
    """
    if _is_stdout(location):
        return CSV
    assert location is not None
    name = os.fspath(location)
    if "://" in name:
        raise TableError(f"cannot write {name}: write a file and copy it there")
    codec, suffix = _layers(name)
    found = FORMATS.get(suffix)
    if found is None or found.write is None or (codec and found.seeks):
        suffixes = ", ".join(suffix for suffix, known in FORMATS.items() if known.write)
        raise TableError(
            f"cannot write {name or 'a table without a name'}: name it one of {suffixes}, or "
            ".csv.gz"
        )
    return found


def _is_stdout(location: Location | None) -> bool:
    return location is None or os.fspath(location) == "-"


def _layers(name: str) -> tuple[str, str]:
    """The suffixes of compression, or nothing, and of the format."""
    suffix = _suffix(name)
    return (suffix, _suffix(Path(name).stem)) if suffix in CODECS else ("", suffix)


def check_writable(location: Location) -> None:
    """Refuse a path that `open_writer` would refuse, before the rows are computed.

    Raises:
        TableError: the suffix is none that can be written.
        MissingExtraError: the format needs a package that is not installed.
    """
    if package := output_format(location).package:
        import_extra(package)
    if _layers(os.fspath(location))[0] == ".zst":
        import_extra("pyarrow")


@contextmanager
def open_writer(
    location: Location | None,
    *,
    delimiter: str = ",",
    vector: bool = False,
    like: Table | None = None,
    replace: bool = True,
) -> Iterator[Writer]:
    """A writer for ``location``, by its suffix. The file takes its place when the block ends.

    Args:
        location: where to write; None or ``-`` is CSV on standard output.
        delimiter: between the cells of a CSV file; a first line ``sep=X`` names one that would not
            be detected. A ``.tsv`` has tabs.
        vector: a ``.npy`` of one column has shape (n,) and not (n, 1).
        like: the table that is copied. A CSV file gets its delimiter, a Parquet or Arrow file the
            types and the metadata of its schema, such as pandas' index.
        replace: whether a file that is there when the block ends is replaced.

    Raises:
        TableError, MissingExtraError: as `check_writable` does, or the file cannot be written.
    """
    delimiter = getattr(like, "delimiter", delimiter)
    found = output_format(location)
    write = found.write
    assert write is not None
    typed = found.has_types and found.has_names
    options = WriteOptions(delimiter, vector, getattr(like, "schema", None) if typed else None)
    if _is_stdout(location):
        stdout = binary_stream("stdout")
        with write(stdout, options) as writer:
            yield writer
            stdout.flush()
        return
    assert location is not None
    check_writable(location)
    with (
        publish_file(location, replace=replace, error=TableError) as file,
        compressing(file, _layers(os.fspath(location))[0]) as stream,
        write(stream, options) as writer,
    ):
        yield writer
