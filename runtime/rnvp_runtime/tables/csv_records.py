"""The records of a CSV file, read strictly, as blocks of bytes in one regular form.

A block of a file is regular if its quoted cells open after a separator and close before one, and
every record has as many cells as the header. Its bytes are then used as they are; only blank lines
and the CR of CRLF are taken out. All other input goes through the csv module, in strict mode, which
either refuses it and names the line, or gives records that are written in the regular form. So the
two parsers of blocks, that of pyarrow and that of this package, never get input on which they could
differ.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import repeated_names
from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.cells import parse_number

__all__ = ["MARKS", "Block", "Head", "blocks", "detected_mark", "plain_name", "quoted", "read_head"]

MARKS = ",;\t"
"""The separators that are detected; a line ``sep=X`` before the header names any other."""

BLOCK_BYTES = 4 << 20
_HEAD_BYTES = 1 << 20  # a header is shorter
_LINE_BYTES = 16 << 20  # a line, or a quoted cell, is shorter
_STRICT_ROWS = 20_000  # rows of a block that the csv module has read

_QUOTE, _NEWLINE, _RETURN = b'"\n\r'


@dataclass(frozen=True)
class Head:
    """The first lines of a CSV file."""

    delimiter: str
    columns: tuple[str, ...]
    lines: int  # how many there are
    rest: bytes  # what was read beyond them

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.columns)


@dataclass(frozen=True)
class Block:
    """Consecutive records: UTF-8, each of the header's width, each ended by one line feed."""

    data: bytes
    ends: NDArray[np.int64]  # (n,), the position after each record's line feed
    first_row: int
    delimiter: str
    width: int

    @property
    def has_quotes(self) -> bool:
        """Whether some cells are quoted."""
        return b'"' in self.data

    def __len__(self) -> int:
        return len(self.ends)

    def part(self, low: int, high: int) -> "Block":
        """Records ``low`` ... ``high - 1``."""
        begin = int(self.ends[low - 1]) if low else 0
        ends = self.ends[low:high]
        return Block(
            self.data[begin : int(ends[-1])],
            ends - begin,
            self.first_row + low,
            self.delimiter,
            self.width,
        )


def read_head(name: str, stream: BinaryIO) -> Head:
    """Read the header, and a line ``sep=X`` before it.

    Raises:
        TableError: the header is missing, damaged, or of a table that is separated by spaces.
    """
    data = stream.read(_HEAD_BYTES)
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise TableError(f"{name} is UTF-32 text, not UTF-8: save it as CSV UTF-8")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TableError(f"{name} is UTF-16 text, not UTF-8: save it as CSV UTF-8")
    _check_zeros(name, data)
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        text = decoder.decode(data, final=len(data) < _HEAD_BYTES)
    except UnicodeDecodeError:
        raise _not_utf8(name) from None
    before, marks = 0, MARKS
    if chosen := re.match(r'"?sep=([ -!#-~\t])"?(\r\n|\r|\n)', text, re.IGNORECASE):
        before, marks = chosen.end(), chosen[1]
    lines = io.StringIO(text[before:], newline="")
    mark = detected_mark(lines, marks)
    try:
        cells = _first_record(lines, mark, strict=True)
    except csv.Error as error:
        length = before + lines.tell()
        raise _not_csv(name, 1 + bool(before), error, text[before:length]) from None
    length = before + lines.tell()
    if length == len(text) and len(data) == _HEAD_BYTES:
        raise TableError(f"{name} has a header of more than {_HEAD_BYTES >> 20} MiB: shorten it")
    _check_header(name, cells, text[length : length + 2000].splitlines(), mark)
    bom = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    end = bom + len(text[:length].encode())
    return Head(mark, tuple(map(plain_name, cells)), _count_lines(text[:length]), data[end:])


def detected_mark(lines: io.StringIO, marks: str = MARKS) -> str:
    """The one of ``marks`` that gives the first record of ``lines`` the most cells."""
    return max(marks, key=lambda mark: _count_cells(lines, mark))


def _count_cells(lines: io.StringIO, mark: str) -> int:
    try:
        return len(_first_record(lines, mark))
    except csv.Error:  # a header of many names is one long cell for other marks
        return 0


def _first_record(lines: io.StringIO, mark: str, *, strict: bool = False) -> list[str]:
    lines.seek(0)
    return next(csv.reader(iter(lines.readline, ""), delimiter=mark, strict=strict), [])


def _count_lines(text: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", text))


def _check_header(name: str, cells: list[str], following: list[str], mark: str) -> None:
    if not cells:
        raise TableError(f"{name} does not begin with a line of column names: it is empty there")
    if all(parse_number(cell) is not None for cell in cells):
        raise TableError(
            f"{name}: the first line looks like data, not column names: add a line of names"
        )
    if len(cells) == 1 and following:
        for other, said in ((None, "white space"), ("|", "'|'"), (":", "':'")):
            found, first = cells[0].split(other), following[0].split(other)
            if 1 < len(found) == len(first) and any(parse_number(c) is not None for c in first):
                raise TableError(
                    f"{name} is separated by {said}, expected commas, semicolons or tabs: "
                    + (
                        r'write it again, pandas.read_csv(TABLE, sep=r"\s+").to_csv("table.csv")'
                        if other is None
                        else f"put a first line sep={other} into it"
                    )
                )
    if again := repeated_names(cells):
        raise TableError(f"{name} has more than one column {again[0]!r}: rename one")


def plain_name(cell: str) -> str:
    """The column name in a cell of a header: without the apostrophe of `harmless_name`."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in set("=+-@\t\r") else cell


def blocks(name: str, stream: BinaryIO, head: Head) -> Iterator[Block]:
    """The records after the header, in order, in blocks of some megabytes.

    Args:
        name: what errors call the table.
        stream: the file, which `read_head` has read ``head`` from.
        head: the header.

    Raises:
        TableError: a record has another number of cells, quotes are malformed, or the bytes are
            not UTF-8 text. The text names the line.
    """
    pending, line, row = head.rest, 1 + head.lines, 1
    ended = False
    while pending or not ended:
        more = b"" if ended else stream.read(BLOCK_BYTES)
        ended = ended or not more
        data = pending + more
        _check_zeros(name, data)
        if ended and data and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        if not data:
            return
        regular = _regular(data, head, row)
        if regular is None:
            yield from _strict_blocks(name, _Chain(name, data, stream), head, line, row)
            return
        block, used = regular
        if not used:
            if ended or len(data) > _LINE_BYTES:
                yield from _strict_blocks(name, _Chain(name, data, stream), head, line, row)
                return
            pending = data
            continue
        if len(block):
            yield block
        pending, line, row = data[used:], line + data.count(b"\n", 0, used), row + len(block)


def _regular(data: bytes, head: Head, row: int) -> tuple[Block, int] | None:
    """The whole records of ``data``, and how many bytes they were; None if they are irregular."""
    array = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(array == _QUOTE) if b'"' in data else np.empty(0, np.int64)
    newlines = _outside(np.flatnonzero(array == _NEWLINE), quotes)
    used = int(newlines[-1]) + 1 if len(newlines) else 0
    if not used:
        return (Block(b"", newlines, row, head.delimiter, head.width), 0)
    array, quotes = array[:used], quotes[: np.searchsorted(quotes, used)]
    mark = ord(head.delimiter)  # ASCII
    if not _well_quoted(array, quotes, mark):
        return None
    part = data[:used]
    begins = np.concatenate([[0], newlines[:-1] + 1])
    returns = np.empty(0, np.int64)
    if b"\r" in part:
        returns = _outside(np.flatnonzero(array == _RETURN), quotes)
        if np.any(array[returns + 1] != _NEWLINE):  # the line ends of old Macs
            return None
    is_blank = newlines == begins
    if len(returns):
        is_blank |= (newlines == begins + 1) & (array[begins] == _RETURN)
    if len(returns) or is_blank.any():
        keep = np.ones(used, bool)
        keep[returns] = keep[newlines[is_blank]] = False
        part = array[keep].tobytes()
        array = np.frombuffer(part, np.uint8)
        quotes = np.flatnonzero(array == _QUOTE) if len(quotes) else quotes
        newlines = _outside(np.flatnonzero(array == _NEWLINE), quotes)
    if not _has_width(array, quotes, len(newlines), mark, head.width):
        return None
    if len(newlines) and np.diff(newlines, prepend=-1).max() > csv.field_size_limit():
        return None
    if not part.isascii():
        try:
            part.decode()
        except UnicodeDecodeError:
            return None
    return Block(part, newlines + 1, row, head.delimiter, head.width), used


def _outside(positions: NDArray[np.int64], quotes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of ``positions`` that are not in a quoted cell."""
    if not len(quotes):
        return positions
    outside: NDArray[np.int64] = positions[np.searchsorted(quotes, positions) % 2 == 0]
    return outside


def _well_quoted(array: NDArray[np.uint8], quotes: NDArray[np.int64], mark: int) -> bool:
    """Whether quoted cells open after a separator, close before one, and double their quotes."""
    if not len(quotes):
        return True
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > 0, array[opening - 1], _NEWLINE)
    after = array[closing + 1]
    return bool(
        np.isin(before, (mark, _NEWLINE, _QUOTE)).all()
        and np.isin(after, (mark, _NEWLINE, _RETURN, _QUOTE)).all()
    )


def _has_width(
    array: NDArray[np.uint8], quotes: NDArray[np.int64], records: int, mark: int, width: int
) -> bool:
    """Whether every record has ``width`` cells."""
    ends = _outside(np.flatnonzero((array == mark) | (array == _NEWLINE)), quotes)
    if len(ends) != records * width:
        return False
    return not records or bool((array[ends[width - 1 :: width]] == _NEWLINE).all())


def _strict_blocks(
    name: str, stream: io.RawIOBase, head: Head, line: int, row: int
) -> Iterator[Block]:
    """The records of ``stream`` through the csv module."""
    text = io.TextIOWrapper(io.BufferedReader(stream, 1 << 20), "utf-8", newline="")
    for rows in _batches(_strict_rows(name, text, head, line, row)):
        lines = [f"{_record(cells, head.delimiter)}\n".encode() for cells in rows]
        ends = np.cumsum([len(one) for one in lines])
        yield Block(b"".join(lines), ends, row, head.delimiter, head.width)
        row += len(rows)


def _batches(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while batch := list(islice(rows, _STRICT_ROWS)):
        yield batch


def _strict_rows(
    name: str, text: io.TextIOWrapper, head: Head, line: int, row: int
) -> Iterator[list[str]]:
    record: list[str] = []  # its lines
    reader = csv.reader(_lines(name, text, record), delimiter=head.delimiter, strict=True)
    while True:
        began = line + reader.line_num
        record.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _not_csv(name, began, error, "".join(record)) from None
        except UnicodeDecodeError:
            raise _not_utf8(name) from None
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != head.width:
            raise TableError(
                f"{name}: row {row} has {len(cells)} cells, the header {head.width} (line {began})"
            )
        yield cells
        row += 1


def _lines(name: str, text: io.TextIOWrapper, seen: list[str]) -> Iterator[str]:
    while line := text.readline(_LINE_BYTES):
        seen.append(line)
        if len(line) == _LINE_BYTES:
            raise TableError(f"{name} has a line of more than {_LINE_BYTES >> 20} MiB")
        yield line


def _record(cells: list[str], delimiter: str) -> str:
    return delimiter.join(quoted(cell, delimiter) for cell in cells) if cells != [""] else '""'


def quoted(cell: str, delimiter: str) -> str:
    """The cell as it is written in a CSV file: in quotes if they are needed."""
    if '"' in cell or delimiter in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


class _Chain(io.RawIOBase):
    """Bytes, then the rest of a stream."""

    def __init__(self, name: str, first: bytes, rest: BinaryIO) -> None:
        self._name, self._first, self._rest = name, io.BytesIO(first), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._first.read(len(buffer)) or self._rest.read(len(buffer))
        _check_zeros(self._name, found)
        buffer[: len(found)] = found
        return len(found)


def _check_zeros(name: str, data: bytes) -> None:
    if b"\0" in data:
        raise TableError(f"{name} is not UTF-8 text, it holds zero bytes: save it as CSV UTF-8")


def _not_utf8(name: str) -> TableError:
    return TableError(f"{name} is not UTF-8 text: save it as CSV UTF-8")


def _not_csv(name: str, line: int, error: csv.Error, record: str) -> TableError:
    said = str(error)
    if said.startswith("field larger"):
        most = f"{csv.field_size_limit():,} characters"
        said = f"a cell of the record that begins there has more than {most}: shorten it"
        if len(record.splitlines()) > 1:  # only a quoted cell has several lines
            said = (
                f"a quoted cell of the record that begins there does not end within {most}: close "
                "it with a quote, or shorten it"
            )
    if said == "unexpected end of data":
        said = "a quoted cell of the record that begins there does not end: close it with a quote"
    elif "expected after" in said:
        said = "a quoted cell goes on after its closing quote: double the quotes inside it"
    return TableError(f"{name} cannot be read as CSV: line {line}: {said}")
