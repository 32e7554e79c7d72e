"""A stream that is kept in a temporary file as it is read, so that it can be read again."""

import io
import tempfile
import threading
import weakref
from typing import BinaryIO, cast

__all__ = ["Spool"]

_CHUNK = 1 << 20  # bytes


class Spool:
    """A stream of bytes that can be opened any number of times, and sought in.

    What has not been read yet is read from the stream when it is asked for, so that the first
    reader follows the stream as it arrives.
    """

    def __init__(self, stream: BinaryIO, *, closes: bool = True) -> None:
        """``closes``: whether the stream is closed when the spool is not used any more."""
        self._stream, self._file = stream, tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, _close, self._file, *([stream] if closes else []))
        self._size, self._ended = 0, False
        self._lock = threading.Lock()

    def open(self) -> BinaryIO:
        """A reader from the first byte."""
        return cast(BinaryIO, io.BufferedReader(_SpoolReader(self), _CHUNK))

    def read_at(self, position: int, size: int) -> bytes:
        """At most ``size`` bytes from ``position``; none at the end of the stream."""
        with self._lock:
            while self._size <= position and not self._ended:
                self._advance()
            self._file.seek(position)
            return self._file.read(min(size, max(0, self._size - position)))

    def size(self) -> int:
        """The length of the stream, all of which is read now."""
        with self._lock:
            while not self._ended:
                self._advance()
            return self._size

    def _advance(self) -> None:
        chunk = self._stream.read(_CHUNK)
        if not chunk:
            self._ended = True
            return
        self._file.seek(self._size)
        self._file.write(chunk)
        self._size += len(chunk)


def _close(*files: BinaryIO) -> None:
    for file in files:
        file.close()


class _SpoolReader(io.RawIOBase):
    """One reader of a spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self._position = spool, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._spool.read_at(self._position, len(buffer))
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._position, self._spool.size() if whence == io.SEEK_END else 0)[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position
