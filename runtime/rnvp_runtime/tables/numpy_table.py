"""``.npy``, one matrix, mapped into memory; and ``.npz``, a matrix or one array a column."""

import math
import mmap
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing
from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.arrow_schema import table_of
from rnvp_runtime.tables.cells import refuse_text
from rnvp_runtime.tables.compression import Expanded
from rnvp_runtime.tables.damage import refusing_damage
from rnvp_runtime.tables.excel import EXCEL, excel_error
from rnvp_runtime.tables.missing import Missing
from rnvp_runtime.tables.sources import Source
from rnvp_runtime.tables.table import (
    Column,
    ReadOptions,
    TableFormat,
    WriteOptions,
    common_float,
    rows_a_batch,
)

__all__ = ["NPY", "NPZ", "ArraysTable", "MatrixTable", "open_npy", "open_npz"]


_KEPT_BATCHES = 8  # batches that threads may still be reading

LIMIT_HEADER = 10_000
"""The most bytes of the header of an array, numpy's own limit."""


def open_npy(source: Source, options: ReadOptions) -> "MatrixTable":
    """The matrix in a ``.npy`` file, read from disk as it is used."""
    with refusing_damage(source.name, ".npy"):
        if source.path is not None:
            mapped = np.lib.format.open_memmap(source.path, mode="r")
            more = source.path.stat().st_size > mapped.offset + mapped.nbytes
            matrix: NDArray[Any] = mapped
        else:
            with source.open() as stream:
                matrix = _mapped(stream, source.name)
                more = bool(stream.read(1))
    if more:  # np.save may be called several times on one open file; np.load reads the first only
        raise TableError(
            f"{source.name} has more bytes after its first array: write one array, such as "
            "np.concatenate of all"
        )
    return MatrixTable(source.name, matrix, options)


def open_npz(source: Source, options: ReadOptions) -> "MatrixTable | ArraysTable":
    """The matrix named ``x``, or the only array, or else one 1-d array for each column."""
    arrays = {}
    with refusing_damage(source.name, ".npz"), source.open() as file:
        if file.read(8).startswith(EXCEL):
            raise excel_error(source.name)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(i.filename == "[Content_Types].xml" for i in members):
                raise excel_error(source.name)
            for info in members:
                if info.flag_bits & 1:
                    raise TableError(f"{source.name} is encrypted: write it without a password")
                with archive.open(info) as member:
                    consumed = partial(getattr, info, "compress_size")
                    stream = Expanded(member, source.name, consumed=consumed)
                    arrays[info.filename.removesuffix(".npy")] = _mapped(stream, source.name)
    only = next(iter(arrays)) if len(arrays) == 1 else "x"
    if only in arrays and arrays[only].ndim == 2:
        return MatrixTable(source.name, arrays[only], options)
    return ArraysTable(source.name, arrays, options)


def _mapped(stream: Any, name: str) -> NDArray[Any]:
    """The array in a stream, copied into a temporary file and mapped from there."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        version, np.lib.format.read_array_header_2_0
    )
    shape, by_columns, dtype = read(stream, max_header_size=LIMIT_HEADER)
    if dtype.hasobject:
        raise TableError(f"{name} holds Python objects, expected numbers")
    size = math.prod(shape) * dtype.itemsize
    done = 0
    with tempfile.TemporaryFile() as file:  # the mapping keeps it until it is not used any more
        while done < size and (chunk := stream.read(min(1 << 20, size - done))):
            done += file.write(chunk)
        if done < size:
            raise TableError(f"{name} ends after {done} of {size} bytes of an array: it is damaged")
        if not size:
            return np.empty(shape, dtype)
        file.flush()
        return np.memmap(file, dtype, "r", shape=shape, order="F" if by_columns else "C")


class MatrixTable:
    """A table without column names; see `rnvp_runtime.tables.Table`."""

    columns: tuple[str, ...] | None = None

    def __init__(self, path: str, matrix: NDArray[Any], options: ReadOptions) -> None:
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
            raise TableError(
                f"{path} holds {matrix.dtype} of shape {matrix.shape}, expected numbers of shape "
                "(rows, columns)"
            )
        if not len(matrix):
            raise TableError(f"{path} has no rows")
        self.path, self._matrix, self._missing = path, matrix, options.missing
        self.dtype = common_float([matrix.dtype])
        self.rows: int | None = len(matrix)
        self.width: int = matrix.shape[1]
        self._batch_rows = rows_a_batch(options.batch_rows, self.width)

    def __iter__(self) -> Iterator["MatrixBatch"]:
        for low in range(0, len(self._matrix), self._batch_rows):
            part = self._matrix[low : low + self._batch_rows]
            yield MatrixBatch(self.path, low + 1, part, self._missing)
            _release_pages(self._matrix, low - _KEPT_BATCHES * self._batch_rows)


def _release_pages(matrix: NDArray[Any], rows: int) -> None:
    """Release the memory of the pages of the first ``rows`` rows, where the system can.

    Otherwise the process grows by the size of the file. A page that is used again is read again.
    """
    mapping = matrix.base
    if rows > 0 and isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        by_columns = matrix.flags.f_contiguous and not matrix.flags.c_contiguous
        end = len(mapping) if by_columns else rows * matrix.strides[0]
        mapping.madvise(mmap.MADV_DONTNEED, 0, end - end % mmap.PAGESIZE)


class MatrixBatch:
    """Consecutive rows of a matrix; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, path: str, first_row: int, matrix: NDArray[Any], missing: Missing) -> None:
        self._path, self.first_row, self._matrix, self._missing = path, first_row, matrix, missing

    def __len__(self) -> int:
        return len(self._matrix)

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        """See `rnvp_runtime.tables.Batch`."""
        if self._matrix.shape[1] != len(names):
            raise TableError(
                f"{self._path} has {self._matrix.shape[1]} columns, expected {len(names)}: "
                f"{', '.join(names)}"
            )
        return self._missing.blank(
            np.asarray(self._matrix, dtype=common_float([self._matrix.dtype]))
        )

    def columns(self) -> dict[str, Any]:
        """See `rnvp_runtime.tables.Batch`."""
        return {}


class ArraysTable:
    """A table of one 1-d array a column; see `rnvp_runtime.tables.Table`."""

    def __init__(self, path: str, arrays: dict[str, NDArray[Any]], options: ReadOptions) -> None:
        shapes = {array.shape for array in arrays.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise TableError(
                f"{path} holds {found or 'nothing'}; expected one matrix named x, or 1-d arrays of "
                "one length, one for each column"
            )
        self.path, self._arrays, self._missing = path, arrays, options.missing
        self.columns: tuple[str, ...] | None = tuple(arrays)
        self.width = len(arrays)
        self._batch_rows = rows_a_batch(options.batch_rows, self.width)
        self.rows: int | None = next(iter(shapes))[0]
        if not self.rows:
            raise TableError(f"{path} has no rows")

    @property
    def schema(self) -> Any:
        """pyarrow's, for a copy of the table."""
        return table_of({name: array[:0] for name, array in self._arrays.items()}, None).schema

    def __iter__(self) -> Iterator["ArraysBatch"]:
        for low in range(0, self.rows or 0, self._batch_rows):
            part = slice(low, low + self._batch_rows)
            arrays = {name: array[part] for name, array in self._arrays.items()}
            yield ArraysBatch(self.path, low + 1, arrays, self._missing)
            for array in self._arrays.values():
                _release_pages(array, low - _KEPT_BATCHES * self._batch_rows)


class ArraysBatch:
    """Consecutive rows of equally long arrays; see `rnvp_runtime.tables.Batch`."""

    def __init__(
        self, path: str, first_row: int, arrays: dict[str, NDArray[Any]], missing: Missing
    ) -> None:
        self._path, self.first_row, self._arrays, self._missing = path, first_row, arrays, missing

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        """See `rnvp_runtime.tables.Batch`."""
        if missing := explain_missing(names, list(self._arrays)):
            raise TableError(f"{self._path} has {missing}")
        found = [self._numbers(name) for name in names]
        out = np.empty((len(self), len(names)), common_float([array.dtype for array in found]))
        for i, array in enumerate(found):
            out[:, i] = array
        return self._missing.blank(out)

    def _numbers(self, name: str) -> NDArray[Any]:
        array, where = self._arrays[name], f"{self._path}: column {name!r}"
        if array.dtype.kind in "fiub":
            return array
        cells = [str(cell) for cell in array]
        refuse_text(cells, self._missing, where, self.first_row, str(array.dtype))
        return np.full(len(array), np.nan)

    def columns(self) -> dict[str, Any]:
        """See `rnvp_runtime.tables.Batch`."""
        return dict(self._arrays)


class NpyWriter:
    """One matrix, (n, columns). Its header is written again when n is known."""

    def __init__(self, file: BinaryIO, vector: bool) -> None:
        self._file, self._vector = file, vector
        self._rows, self._width = 0, 0
        self._dtype: np.dtype[Any] = np.dtype(np.float64)

    def write(self, columns: Mapping[str, Column]) -> None:
        """See `rnvp_runtime.tables.Writer`."""
        matrix = np.stack([np.asarray(column) for column in columns.values()], axis=1)
        if not self._width:
            self._width, self._dtype = matrix.shape[1], matrix.dtype
            self._header()
        self._rows += len(matrix)
        self._file.write(np.ascontiguousarray(matrix, dtype=self._dtype).data)

    def finish(self) -> None:
        """Put the number of rows into the header."""
        self._file.seek(0)
        self._header()

    def _header(self) -> None:
        # numpy pads a header so that the first axis can grow in place (GROWTH_AXIS_MAX_DIGITS).
        shape = (self._rows,) if self._vector and self._width == 1 else (self._rows, self._width)
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": self._dtype.str, "fortran_order": False, "shape": shape},
        )


@contextmanager
def _writing(file: BinaryIO, options: WriteOptions) -> Iterator[NpyWriter]:
    writer = NpyWriter(file, options.vector)
    yield writer
    writer.finish()


NPY = TableFormat(
    open_npy, _writing, has_types=True, has_names=False, seeks=True, magic=(b"\x93NUMPY",)
)
NPZ = TableFormat(
    open_npz, None, has_types=True, has_names=True, seeks=True, magic=(b"PK\x03\x04",)
)
