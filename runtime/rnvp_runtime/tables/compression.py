"""Compressed tables: ``.gz``, ``.bz2``, ``.xz``, ``.zst``, and a ``.zip`` that holds one table.

Compression is a layer in front of the formats: it gives a `Source` of the bytes within. They are
read as they are needed and never held as a whole.
"""

import bz2
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import import_extra
from rnvp_runtime.tables.damage import refusing_damage
from rnvp_runtime.tables.excel import excel_error
from rnvp_runtime.tables.sources import Source, StreamFile
from rnvp_runtime.tables.spool import Spool
from rnvp_runtime.tables.stream_chain import StreamChain

__all__ = [
    "CODECS",
    "Codec",
    "Expanded",
    "compressing",
    "compression_of",
    "kept_on_disk",
    "uncompressed",
]

LIMIT_BYTES = 256 << 20
"""What is kept on disk may grow to this size, and beyond only up to `LIMIT_RATIO`."""

LIMIT_RATIO = 200
"""The most bytes for each compressed byte, beyond `LIMIT_BYTES`."""


@dataclass(frozen=True)
class Codec:
    """One way to compress a file."""

    magic: bytes  # a regular expression of what such a file begins with
    reading: Callable[[BinaryIO], BinaryIO]
    writing: Callable[[BinaryIO], BinaryIO]


def _zstd_reading(file: BinaryIO) -> BinaryIO:
    arrow = import_extra("pyarrow")
    return cast(BinaryIO, arrow.CompressedInputStream(file, "zstd"))


def _zstd_writing(file: BinaryIO) -> BinaryIO:
    arrow = import_extra("pyarrow")
    return cast(BinaryIO, arrow.CompressedOutputStream(_Unclosed(file), "zstd"))


class _Unclosed(io.RawIOBase):
    """A file for writing that stays open, since pyarrow closes the file that it is given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)


CODECS: dict[str, Codec] = {
    ".gz": Codec(
        rb"\x1f\x8b",
        lambda file: cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")),
        lambda file: cast(BinaryIO, gzip.GzipFile("", "wb", 6, file, mtime=0)),
    ),
    ".bz2": Codec(
        rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",  # BZh alone may be text
        lambda file: cast(BinaryIO, StreamChain(file, bz2.BZ2Decompressor)),
        lambda file: cast(BinaryIO, bz2.BZ2File(file, "wb")),
    ),
    ".xz": Codec(
        rb"\xfd7zXZ\x00",
        lambda file: cast(BinaryIO, StreamChain(file, lzma.LZMADecompressor, padding=4)),
        lambda file: cast(BinaryIO, lzma.LZMAFile(file, "wb")),
    ),
    ".zst": Codec(rb"\x28\xb5\x2f\xfd", _zstd_reading, _zstd_writing),
}
"""Suffix, in lower case -> codec."""


@dataclass(frozen=True)
class _Compressed:
    """The bytes within a compressed source; see `Source`."""

    name: str
    file_name: str
    inner: Source
    codec: Codec
    path: Path | None = None
    seekable: bool = False

    def open(self) -> BinaryIO:
        """See `Source`."""
        return self._opened(limited=False)

    def open_limited(self) -> BinaryIO:
        """A reader that refuses to expand beyond the limits."""
        return self._opened(limited=True)

    def _opened(self, *, limited: bool) -> BinaryIO:
        inner = self.inner.open()
        stream, consumed = self.codec.reading(inner), inner.tell if limited else None
        return _buffered(Expanded(stream, self.name, inner, consumed))


@dataclass(frozen=True)
class _Member:
    """The one table of a zip archive; see `Source`."""

    name: str
    file_name: str
    archive: Source
    member: zipfile.ZipInfo
    path: Path | None = None
    seekable: bool = False

    def open(self) -> BinaryIO:
        """See `Source`."""
        return self._opened(limited=False)

    def open_limited(self) -> BinaryIO:
        """A reader that refuses to expand beyond the limits."""
        return self._opened(limited=True)

    def _opened(self, *, limited: bool) -> BinaryIO:
        inner = self.archive.open()
        with refusing_damage(self.name, "zip"):
            stream = zipfile.ZipFile(inner).open(self.member)
        consumed = (lambda: self.member.compress_size) if limited else None
        return _buffered(Expanded(stream, self.name, inner, consumed))


def _buffered(reader: io.RawIOBase) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(reader, 1 << 20))


class Expanded(io.RawIOBase):
    """A reader of expanded bytes that closes what it reads from, and may be limited.

    Args:
        stream: the expanded bytes.
        name: what errors call them.
        inner: what ``stream`` reads from.
        consumed: the number of compressed bytes read so far; without it there is no limit.
    """

    def __init__(
        self,
        stream: Any,
        name: str,
        inner: Any = None,
        consumed: Callable[[], int] | None = None,
    ) -> None:
        self._stream, self._name, self._inner = stream, name, inner
        self._consumed, self._given = consumed, 0

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes.

        Raises:
            TableError: the bytes are damaged; or there is a limit, and more than `LIMIT_BYTES` and
                more than `LIMIT_RATIO` for each compressed byte were given.
        """
        with refusing_damage(self._name, "a compressed file"):
            found: bytes = self._stream.read(size)
            self._given += len(found)
            limited = self._consumed is not None and self._given > LIMIT_BYTES
            if limited and self._given > LIMIT_RATIO * self._consumed():  # type: ignore[misc]
                raise TableError(
                    f"{self._name} expands to more than {LIMIT_BYTES >> 20} MiB and {LIMIT_RATIO} "
                    "times its size, the limits: write it uncompressed, as a .npy or a .parquet"
                )
        return found

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer``; see `read`."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Close the streams."""
        if not self.closed:
            for stream in (self._stream, self._inner):
                if stream is not None:
                    stream.close()
        super().close()


def uncompressed(source: Source, is_table: Callable[[str], bool]) -> Source:
    """``source``, or the bytes within it if its name or its content says that it is compressed.

    Args:
        source: the bytes, compressed or not.
        is_table: whether a file of this name is a table, for the members of a zip archive.

    Raises:
        TableError: a zip archive is damaged or holds no table, or several.
    """
    named = Path(source.file_name).suffix
    suffix = named.lower() or compression_of(source)
    if codec := CODECS.get(suffix):
        inside = source.file_name.removesuffix(named)
        return uncompressed(_Compressed(source.name, inside, source, codec), is_table)
    return _zip_member(source, is_table) if suffix == ".zip" else source


def compression_of(source: Source) -> str:
    """The suffix of the compression that the first bytes belong to; empty for none."""
    with source.open() as file:
        head = file.read(16)
    if head.startswith(b"PK\x03\x04"):
        return ".zip"
    return next((suffix for suffix, codec in CODECS.items() if re.match(codec.magic, head)), "")


def _zip_member(source: Source, is_table: Callable[[str], bool]) -> Source:
    source = kept_on_disk(source)
    with (
        refusing_damage(source.name, "zip"),
        source.open() as file,
        zipfile.ZipFile(file) as archive,
    ):
        files = [i for i in archive.infolist() if not i.is_dir() and _is_visible(i.filename)]
    names = [info.filename for info in files]
    if "[Content_Types].xml" in names:
        raise excel_error(source.name)
    found = [info for info in files if is_table(info.filename)]
    if len(found) > 1 and all(n.endswith(".npy") for n in names):
        return source  # a .npz without its suffix
    if len(found) != 1:
        listed = ", ".join(names[:5]) or "nothing"
        raise TableError(
            f"{source.name} holds {len(found)} tables ({listed}), expected one: unpack it and give "
            "a folder or a file"
        )
    if found[0].flag_bits & 1:
        raise TableError(f"{source.name} is encrypted: unpack it first")
    name = f"{source.name}/{found[0].filename}"
    return _Member(name, Path(found[0].filename).name, source, found[0])


def _is_visible(name: str) -> bool:
    return not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def kept_on_disk(source: Source) -> Source:
    """``source``, or its bytes in a temporary file, where formats can seek in them."""
    if source.seekable:
        return source
    opening = getattr(source, "open_limited", source.open)
    return StreamFile(source.name, source.file_name, Spool(opening()))


@contextmanager
def compressing(file: BinaryIO, suffix: str) -> Iterator[BinaryIO]:
    """A file whose bytes are compressed into ``file``; ``file`` itself without a known suffix."""
    codec = CODECS.get(suffix)
    if codec is None:
        yield file
        return
    stream = codec.writing(file)
    try:
        yield stream
    finally:
        stream.close()
