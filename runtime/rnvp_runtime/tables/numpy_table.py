"""``.npy``, one matrix, mapped into memory; and ``.npz``, a matrix or one array a column."""

import mmap
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.column_names import explain_missing
from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.table import Column, TableFormat, WriteOptions, common_float

__all__ = ["NPY", "NPZ", "ArraysTable", "MatrixTable", "open_npy", "open_npz"]


def open_npy(path: Path, batch_rows: int) -> "MatrixTable":
    """The matrix in a ``.npy`` file, read from disk as it is used."""
    try:
        matrix = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, SyntaxError) as error:  # the header is damaged
        raise _unreadable(path, error) from None
    return MatrixTable(path, matrix, batch_rows)


def open_npz(path: Path, batch_rows: int) -> "MatrixTable | ArraysTable":
    """The matrix named ``x``, or the only array, or else one 1-d array for each column."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from None
    only = next(iter(arrays)) if len(arrays) == 1 else "x"
    if only in arrays and arrays[only].ndim == 2:
        return MatrixTable(path, arrays[only], batch_rows)
    return ArraysTable(path, arrays, batch_rows)


def _unreadable(path: Path, error: Exception) -> TableError:
    reason = " ".join(str(error).split())
    return TableError(f"{path} cannot be read as {path.suffix}: {reason}")


class MatrixTable:
    """A table without column names; see `rnvp_runtime.tables.Table`."""

    columns: tuple[str, ...] | None = None

    def __init__(self, path: Path, matrix: NDArray[Any], batch_rows: int) -> None:
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
            raise TableError(
                f"{path} holds {matrix.dtype} of shape {matrix.shape}, expected numbers of shape "
                "(rows, columns)"
            )
        if not len(matrix):
            raise TableError(f"{path} has no rows")
        self.path, self._matrix, self._batch_rows = path, matrix, batch_rows
        self.rows: int | None = len(matrix)
        self.width: int = matrix.shape[1]

    def __iter__(self) -> Iterator["MatrixBatch"]:
        for low in range(0, len(self._matrix), self._batch_rows):
            yield MatrixBatch(self.path, low + 1, self._matrix[low : low + self._batch_rows])
            _release_pages(self._matrix)


def _release_pages(matrix: NDArray[Any]) -> None:
    """Release the memory of the pages read so far, where the system can.

    Otherwise the process grows by the size of the file. A page that is used again is read again.
    """
    mapping = matrix.base
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


class MatrixBatch:
    """Consecutive rows of a matrix; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, path: Path, first_row: int, matrix: NDArray[Any]) -> None:
        self._path, self.first_row, self._matrix = path, first_row, matrix

    def __len__(self) -> int:
        return len(self._matrix)

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        if self._matrix.shape[1] != len(names):
            raise TableError(
                f"{self._path} has {self._matrix.shape[1]} columns, expected {len(names)}: "
                f"{', '.join(names)}"
            )
        return np.asarray(self._matrix, dtype=common_float([self._matrix.dtype]))

    def columns(self) -> dict[str, Any]:
        return {}


class ArraysTable:
    """A table of one 1-d array a column; see `rnvp_runtime.tables.Table`."""

    def __init__(self, path: Path, arrays: dict[str, NDArray[Any]], batch_rows: int) -> None:
        shapes = {array.shape for array in arrays.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise TableError(
                f"{path} holds {found or 'nothing'}; expected one matrix named x, or 1-d arrays of "
                "one length, one for each column"
            )
        self.path, self._arrays, self._batch_rows = path, arrays, batch_rows
        self.columns: tuple[str, ...] | None = tuple(arrays)
        self.width = len(arrays)
        self.rows: int | None = next(iter(shapes))[0]
        if not self.rows:
            raise TableError(f"{path} has no rows")

    def __iter__(self) -> Iterator["ArraysBatch"]:
        for low in range(0, self.rows or 0, self._batch_rows):
            part = slice(low, low + self._batch_rows)
            yield ArraysBatch(self.path, low + 1, {n: a[part] for n, a in self._arrays.items()})


class ArraysBatch:
    """Consecutive rows of equally long arrays; see `rnvp_runtime.tables.Batch`."""

    def __init__(self, path: Path, first_row: int, arrays: dict[str, NDArray[Any]]) -> None:
        self._path, self.first_row, self._arrays = path, first_row, arrays

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def numeric(self, names: Sequence[str]) -> NDArray[np.floating]:
        if missing := explain_missing(names, list(self._arrays)):
            raise TableError(f"{self._path} has {missing}")
        dtype = common_float([self._arrays[name].dtype for name in names])
        out = np.empty((len(self), len(names)), dtype)
        for i, name in enumerate(names):
            array = self._arrays[name]
            if array.dtype.kind not in "fiub":
                raise TableError(
                    f"{self._path}: column {name!r}, row {self.first_row}: "
                    f"{str(array[0])[:40]!r} is {array.dtype}, not a number"
                )
            out[:, i] = array
        return out

    def columns(self) -> dict[str, Any]:
        return dict(self._arrays)


class NpyWriter:
    """One matrix, (n, columns). Its header is written again when n is known."""

    def __init__(self, file: BinaryIO, vector: bool) -> None:
        self._file, self._vector = file, vector
        self._rows, self._width = 0, 0
        self._dtype: np.dtype[Any] = np.dtype(np.float64)

    def write(self, columns: Mapping[str, Column]) -> None:
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


NPY = TableFormat(open_npy, _writing, has_types=True, has_names=False)
NPZ = TableFormat(open_npz, None, has_types=True, has_names=True)
