"""Where a table's bytes are: a file, a stream, a URI, and all files of a folder or a pattern."""

import glob
import io
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.standard_streams import binary_stream
from rnvp_runtime.tables.damage import refusing_damage
from rnvp_runtime.tables.spool import Spool

__all__ = ["LocalFile", "RemoteFile", "Source", "StreamFile", "find_sources"]

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters or more: C:// is a drive


class Source(Protocol):
    """Bytes that can be read from the start any number of times."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def file_name(self) -> str:
        """The name whose suffixes say what it holds; empty if it has none."""

    @property
    def path(self) -> Path | None:
        """The regular file that holds exactly these bytes, if there is one."""

    @property
    def seekable(self) -> bool:
        """Whether its readers can seek."""

    def open(self) -> BinaryIO:
        """A reader from the first byte."""


@dataclass(frozen=True)
class LocalFile:
    """A regular file."""

    path: Path
    seekable: bool = True

    @property
    def name(self) -> str:
        """See `Source`."""
        return str(self.path)

    @property
    def file_name(self) -> str:
        """See `Source`."""
        return self.path.name

    def open(self) -> BinaryIO:
        """See `Source`."""
        try:
            return self.path.open("rb")
        except OSError as error:
            raise TableError(f"{self.path} cannot be opened: {error.strerror}") from None


@dataclass(frozen=True)
class StreamFile:
    """A pipe, standard input, or other bytes that come once; kept on disk as they are read."""

    name: str
    file_name: str
    spool: Spool
    path: Path | None = None
    seekable: bool = True

    def open(self) -> BinaryIO:
        """See `Source`."""
        return self.spool.open()


@dataclass(frozen=True)
class RemoteFile:
    """A file of one of pyarrow's filesystems."""

    name: str
    filesystem: Any
    key: str
    path: Path | None = None
    seekable: bool = True

    @property
    def file_name(self) -> str:
        """See `Source`."""
        return PurePosixPath(self.key).name

    def open(self) -> BinaryIO:
        """See `Source`."""
        with refusing_damage(self.name, "a file of its filesystem"):
            return cast(BinaryIO, io.BufferedReader(_raw(self.filesystem, self.key), 1 << 20))


def _raw(filesystem: Any, key: str) -> Any:
    return filesystem.open_input_file(key)


def find_sources(location: str) -> tuple[list[Source], bool]:
    """The bytes at ``location``, and whether it names several files that are one table.

    Args:
        location: a path, ``-`` for standard input, a URI such as ``s3://bucket/key``, a folder, or
            a pattern such as ``data/*.parquet``.

    Raises:
        TableError: nothing is there, or it cannot be opened.
        MissingExtraError: a URI needs pyarrow, which is not installed.
    """
    if not location:
        raise TableError("the name of the table is empty: give a table, or - for standard input")
    if location == "-":
        buffered = binary_stream("stdin")
        stdin = getattr(buffered, "raw", buffered)
        return [StreamFile("standard input", "", Spool(stdin, closes=False))], False
    if _URI.match(location):
        return _remote(location)
    path = Path(location)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL in the name
        if glob.has_magic(location):
            if not (found := _matching(location)):
                raise TableError(f"no file matches {location}: correct the pattern") from None
            return [LocalFile(p) for p in found], True
        raise TableError(f"{path} does not exist: give a table") from None
    if stat.S_ISREG(mode):
        return [LocalFile(path)], False
    if stat.S_ISDIR(mode):
        return _in_folder(path), True
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        named = path.name if "." in path.name else ""
        stream = cast(BinaryIO, open(path, "rb", buffering=0))  # noqa: SIM115  (the spool closes it)
        return [StreamFile(location, named, Spool(stream))], False
    raise TableError(f"{path} is not a file, a pipe or a folder: give a table")


def _matching(pattern: str) -> list[Path]:
    """The files of ``pattern``, by name; with a name in ``_`` only if a part of it begins so."""
    found = sorted(p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p))
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    if any(part.startswith(("_", "[_")) for part in parts[fixed:]):
        return [Path(p) for p in found]
    return [p for p in map(Path, found) if not any(n[0] == "_" for n in p.parts[fixed:])]


def _in_folder(folder: Path) -> list[Source]:
    """The files of ``folder`` and the folders in it, by name."""
    found = [p.relative_to(folder) for p in sorted(folder.rglob("*")) if p.is_file()]
    return [LocalFile(folder / p) for p in _of_data(found, str(folder))]


def _of_data(paths: list[Any], folder: str) -> list[Any]:
    """Without the files that Spark and others put beside the data."""
    kept = [p for p in paths if not any(part.startswith((".", "_")) for part in p.parts)]
    if not kept:
        raise TableError(f"{folder} is a folder without a table in it")
    if keys := sorted(
        {part.partition("=")[0] for p in kept for part in p.parts[:-1] if "=" in part}
    ):
        raise TableError(
            f"{folder} is partitioned by {', '.join(keys)}, which its files do not hold: give a "
            f"pattern of files, such as {folder}/*/*.parquet"
        )
    return kept


def _remote(uri: str) -> tuple[list[Source], bool]:
    fs = import_extra("pyarrow.fs")
    filesystem, key = _filesystem(fs, uri)
    with refusing_damage(uri, "a table"):
        info = filesystem.get_file_info(key)
        if info.type == fs.FileType.File:
            return [RemoteFile(uri, filesystem, key)], False
        if info.type != fs.FileType.Directory:
            raise TableError(f"{uri} does not exist: give a table")
        found = filesystem.get_file_info(fs.FileSelector(key, recursive=True))
        keys = [i.path for i in found if i.type == fs.FileType.File]
    inside = {PurePosixPath(k).relative_to(key.rstrip("/")): k for k in sorted(keys)}
    kept = _of_data(list(inside), uri)
    return [RemoteFile(f"{uri.rstrip('/')}/{p}", filesystem, inside[p]) for p in kept], True


def _filesystem(fs: Any, uri: str) -> tuple[Any, str]:
    """pyarrow's filesystem for ``uri``, or fsspec's where pyarrow has none; and the key in it."""
    try:
        return cast(tuple[Any, str], fs.FileSystem.from_uri(uri))
    except (ValueError, OSError) as error:
        first = error
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]

        filesystem, key = url_to_fs(uri)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), key
    except ModuleNotFoundError as error:
        missing = f"; for fsspec's, pip install {error.name}"
    except Exception as error:  # what fsspec's many filesystems raise
        missing, first = "", error  # type: ignore[assignment]
    reason = " ".join(str(first).split())
    raise TableError(f"{uri} cannot be opened: {reason}{missing}") from None
