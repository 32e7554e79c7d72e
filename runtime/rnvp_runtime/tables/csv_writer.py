"""CSV in UTF-8: text is written unchanged, a number in the fewest digits that identify it.

Records of a CSV file that are written with all their columns are copied as bytes. Numbers and lines
are formatted by pyarrow where there are many and it is installed, else by Python, to the same text.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import TableError
from rnvp_runtime.extras import optional
from rnvp_runtime.tables.arrow_schema import run_end_decoded
from rnvp_runtime.tables.csv_records import MARKS, Block, detected_mark, quoted
from rnvp_runtime.tables.csv_table import CsvTable, TextColumn
from rnvp_runtime.tables.table import Column, TableFormat, WriteOptions

__all__ = ["ARROW_ROWS", "CSV", "TSV", "harmless_name"]

ARROW_ROWS = 4096
"""pyarrow formats batches of this many rows and more: fewer take less time than its import."""


def harmless_name(name: str) -> str:
    """A column name that a spreadsheet shows and does not run as a formula.

    An apostrophe is put before ``=``, ``+``, ``-``, ``@``, tab and CR; `CsvTable` takes it away.
    """
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


class CsvWriter:
    """See `rnvp_runtime.tables.Writer`."""

    def __init__(self, file: BinaryIO, delimiter: str) -> None:
        self._file, self._delimiter, self._started = file, delimiter, False

    def write(self, columns: Mapping[str, Column]) -> None:
        """See `rnvp_runtime.tables.Writer`."""
        if not self._started:
            names = [quoted(harmless_name(name), self._delimiter) for name in columns]
            self._file.write(_header(names, self._delimiter).encode())
            self._started = True
        values = [_with_text(name, column) for name, column in columns.items()]
        if not values or not len(values[0]):
            return
        try:
            self._write(values)
        except UnicodeEncodeError as error:
            name = next(name for name, column in columns.items() if not _is_utf8(column))
            raise TableError(
                f"column {name!r} holds {error.object[error.start]!r}, half of a character, which "
                "UTF-8 cannot hold: correct the text"
            ) from None

    def _write(self, values: Sequence[Column]) -> None:
        block, count = _whole_records(values, self._delimiter)
        arrow = optional("pyarrow") if len(values[0]) >= ARROW_ROWS else None
        if arrow is None or self._delimiter == "'":
            self._write_by_python(block, values[count:])
        else:
            self._write_by_arrow(arrow, block, values[count:])

    def _write_by_python(self, block: Block | None, values: Sequence[Column]) -> None:
        texts = [self._texts(column) for column in values]
        if block is not None:
            if not texts:
                self._file.write(block.data)
                return
            begins = np.concatenate([[0], block.ends[:-1]]).tolist()
            ends = (block.ends - 1).tolist()
            data = block.data
            texts.insert(0, (data[a:b].decode() for a, b in zip(begins, ends, strict=True)))
        lines: Iterator[str] = map(self._delimiter.join, zip(*texts, strict=True))
        if len(texts) == 1 and block is None:
            lines = (line or '""' for line in lines)  # a blank line would be skipped
        self._file.write("".join([f"{line}\n" for line in lines]).encode())

    def _texts(self, column: Column) -> Iterator[str]:
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
            return map(str, column)
        if hasattr(column, "to_pylist"):
            column = column.to_pylist()
        return map(quoted, map(str, column), repeat(self._delimiter))

    def _write_by_arrow(self, arrow: Any, block: Block | None, values: Sequence[Column]) -> None:
        compute = optional("pyarrow.compute")
        assert compute is not None
        arrays = [self._array(arrow, compute, column) for column in values]
        if block is not None:
            if not arrays:
                self._file.write(block.data)
                return
            # Each record with the line feed before it: offsets into the block, nothing is copied.
            offsets = np.concatenate([[0], block.ends - 1]).astype(np.int32)
            buffers = [None, arrow.py_buffer(offsets), arrow.py_buffer(block.data)]
            arrays.insert(0, arrow.Array.from_buffers(arrow.string(), len(block), buffers))
        lines = compute.binary_join_element_wise(*arrays, self._delimiter)
        if len(arrays) == 1 and block is None:
            lines = compute.if_else(compute.equal(lines, ""), '""', lines)
        if block is None:
            whole = arrow.ListArray.from_arrays(arrow.array([0, len(lines)], arrow.int32()), lines)
            lines = compute.binary_join(whole, "\n")
        self._file.write(memoryview(lines.buffers()[2])[: _end(lines)])
        self._file.write(b"\n")

    def _array(self, arrow: Any, compute: Any, column: Column) -> Any:
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiu":
            return _number_texts(arrow, compute, column)
        if isinstance(column, TextColumn):
            column = column.__arrow_array__()
        if not hasattr(column, "to_pylist"):
            return arrow.array(self._texts(column), arrow.string())
        special = compute.match_substring_regex(column, f'["\\r\\n{_in_class(self._delimiter)}]')
        if not compute.any(special).as_py():
            return column
        doubled = compute.replace_substring(column, '"', '""')
        marked = compute.binary_join_element_wise('"', doubled, '"', "")
        return compute.if_else(special, marked, column)


def _header(names: Sequence[str], mark: str) -> str:
    """The line of names, and a line ``sep=X`` before it if the separator is not detected there."""
    line = f"{mark.join(names)}\n"
    is_detected = len(names) == 1 or detected_mark(io.StringIO(line, newline="")) == mark
    return line if mark in MARKS and is_detected else f"sep={mark}\n{line}"


def _in_class(mark: str) -> str:
    return f"\\x{ord(mark):02x}"


def _end(strings: Any) -> int:
    """The position after the last byte of an array of strings."""
    offsets = np.frombuffer(strings.buffers()[1], np.int32)
    return int(offsets[strings.offset + len(strings)])


def _with_text(name: str, column: Column) -> Column:
    """A column of pyarrow as its strings, empty for null; other columns as they are."""
    if not hasattr(column, "to_pylist"):
        return column
    try:
        texts = run_end_decoded(column).cast("string")
    except (NotImplementedError, ValueError):  # what pyarrow raises for a list or a struct
        raise TableError(
            f"column {name!r} is {column.type}, which has no text: write a .arrow"
        ) from None
    texts = texts.combine_chunks() if hasattr(texts, "combine_chunks") else texts
    return texts.fill_null("")


def _is_utf8(column: Column) -> bool:
    try:
        "".join(map(str, column)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _number_texts(arrow: Any, compute: Any, numbers: NDArray[Any]) -> Any:
    """What ``str`` gives for each number.

    pyarrow writes whole numbers and exponents in other ways, which change with its version.
    """
    numbers = np.ascontiguousarray(numbers)
    if numbers.dtype.kind != "f" or numbers.dtype.itemsize not in (4, 8):
        return arrow.array([str(n) for n in numbers], arrow.string())
    native = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    texts = arrow.array(native).cast(arrow.string())
    with np.errstate(invalid="ignore"):  # signalling NaN
        size = np.abs(native)
        largest = 1e6 if native.itemsize == 4 else 1e7  # above, numpy writes some with exponents
        by_python = ~((size > 1e-3) & (size < largest) & (native != np.trunc(native)))
    if by_python.any():
        written = arrow.array([str(n) for n in native[by_python]], arrow.string())
        texts = compute.replace_with_mask(texts, arrow.array(by_python), written)
    return texts


def _whole_records(columns: Sequence[Column], delimiter: str) -> tuple[Block | None, int]:
    """The records, if the first columns are all of their cells, and the number of these columns."""
    first = columns[0]
    if not isinstance(first, TextColumn) or first.batch.block.delimiter != delimiter:
        return None, 0
    width = first.batch.block.width
    leading = columns[:width]
    whole = len(leading) == width and all(
        isinstance(column, TextColumn) and column.batch is first.batch and column.position == i
        for i, column in enumerate(leading)
    )
    return (first.batch.block, width) if whole else (None, 0)


@contextmanager
def _writing(
    file: BinaryIO, options: WriteOptions, delimiter: str | None = None
) -> Iterator[CsvWriter]:
    yield CsvWriter(file, delimiter or options.delimiter)


CSV = TableFormat(CsvTable, _writing, has_types=False, has_names=True)
TSV = TableFormat(CsvTable, partial(_writing, delimiter="\t"), has_types=False, has_names=True)
