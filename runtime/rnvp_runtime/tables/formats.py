"""Which reader a file needs, by its suffix."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from rnvp_runtime.errors import TableError
from rnvp_runtime.tables.csv_table import CsvTable
from rnvp_runtime.tables.numpy_table import open_npy, open_npz
from rnvp_runtime.tables.parquet_table import ParquetTable
from rnvp_runtime.tables.table import Table

__all__ = ["open_table"]

_READERS: dict[str, Callable[[Path, int], Table]] = {
    ".csv": CsvTable,
    ".tsv": CsvTable,
    ".parquet": ParquetTable,
    ".npy": open_npy,
    ".npz": open_npz,
}


def open_table(path: str | PathLike[str], *, batch_rows: int = 65536) -> Table:
    """Open the table at ``path``; its header is read and checked, its rows are not.

    Parameters
    ----------
    path : .csv, .tsv, .parquet, .npy or .npz
    batch_rows : int
        Rows a batch, at most.

    Raises
    ------
    TableError
        There is no such file, its suffix is none of these, it cannot be read, or has no rows.
    MissingExtraError
        It is Parquet, and pyarrow is not installed.
    """
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise TableError(f"{path} {found}: give a table, {', '.join(_READERS)}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{path} is not one of {', '.join(_READERS)}")
    return reader(path, batch_rows)
