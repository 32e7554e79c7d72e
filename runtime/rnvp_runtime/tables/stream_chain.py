"""All compressed streams of one file, one after the other, as the programs xz and bzip2 read them.

Python's ``LZMAFile`` and ``BZ2File`` end without an error where a later stream cannot be started.
Damage there, and the padding that ``.xz`` permits, would then hide the rows after it.
"""

import io
from collections.abc import Callable
from typing import Any, BinaryIO

__all__ = ["StreamChain"]

_CHUNK = 1 << 16  # compressed bytes


class StreamChain(io.RawIOBase):
    """The expanded bytes of the streams of a file, which it has to consist of.

    Args:
        file: the compressed bytes.
        start: gives a decompressor of one stream, from `lzma` or `bz2`.
        padding: zero bytes may follow a stream in multiples of this number; 0 permits none.
    """

    def __init__(self, file: BinaryIO, start: Callable[[], Any], padding: int = 0) -> None:
        self._file, self._start, self._padding = file, start, padding
        self._decompressor, self._pending, self._count = start(), b"", 1

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer``.

        Raises:
            EOFError: the last stream is cut off.
            OSError: a stream is damaged, or what follows it is no stream.
        """
        found = b""
        while not found and len(buffer):
            if self._decompressor.eof and not self._begin_next():
                return 0
            data, self._pending = self._pending, b""
            if self._decompressor.needs_input and not data and not (data := self._more()):
                raise EOFError(f"compressed stream {self._count} is cut off")
            try:
                found = self._decompressor.decompress(data, len(buffer))
            except Exception as error:  # OSError of bz2, LZMAError of lzma
                raise OSError(f"compressed stream {self._count} is damaged: {error}") from None
        buffer[: len(found)] = found
        return len(found)

    def _begin_next(self) -> bool:
        """Start the stream after the one that ended; False at the end of the file."""
        data, zeros = self._decompressor.unused_data or self._more(), 0
        while data and self._padding:
            rest = data.lstrip(b"\0")
            zeros += len(data) - len(rest)
            if rest:
                data = rest
                break
            data = self._more()
        if zeros % max(self._padding, 1):
            raise OSError(f"{zeros} zero bytes follow compressed stream {self._count}")
        if data:
            self._decompressor, self._pending = self._start(), data
            self._count += 1
        return bool(data)

    def _more(self) -> bytes:
        return self._file.read(_CHUNK)
