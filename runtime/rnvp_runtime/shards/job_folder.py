"""The folder of a job that can be resumed: its files, and a record of what the job is.

    _job.json     what is computed; a run that asks for something else is refused
    part-00000.csv, ...
    _SUCCESS      written when all files are complete

`rnvp_runtime.tables`, pyarrow, Spark and Dask do not read files whose names begin with ``_`` or
``.``.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rnvp_runtime.errors import OutputError
from rnvp_runtime.file_locks import lock_path, release
from rnvp_runtime.flow import Flow
from rnvp_runtime.publishing import publish_file
from rnvp_runtime.tables import check_writable

__all__ = ["Record", "check_file_format", "graph_hash", "job_folder", "read_record"]

_RECORD, _SUCCESS = "_job.json", "_SUCCESS"

Record = Mapping[str, Any]
"""What identifies a job: values of JSON."""


def check_file_format(suffix: str) -> str:
    """``"csv"`` or ``".csv.gz"`` as a suffix that can be written: ``".csv.gz"``.

    Raises:
        TableError: no such format is written.
        MissingExtraError: it needs a package that is not installed.
    """
    dotted = f".{suffix.lstrip('.')}"
    check_writable(f"part{dotted}")
    return dotted


def read_record(folder: Path) -> Record | None:
    """The record of the job in ``folder``; None if there is no job.

    Raises:
        OutputError: the record cannot be read.
    """
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder / _RECORD} cannot be read ({error}): remove {folder}") from None
    if not isinstance(record, dict):
        raise OutputError(f"{folder / _RECORD} is not the record of a job: remove {folder}")
    return record


def graph_hash(flow: Flow, graph: str) -> str:
    """SHA-256 of the file of ``graph``: the numbers that a job gives depend on it."""
    return flow.manifest.files[flow.manifest.graphs[graph].files["onnx"]].sha256


@contextmanager
def job_folder(folder: Path, record: Record) -> Iterator[None]:
    """``folder`` for the job that ``record`` describes: made if it is missing, and locked.

    Raises:
        OutputError: the folder above does not exist, ``folder`` holds another job or other files,
            or another run is writing there.
    """
    if not folder.parent.is_dir():
        raise OutputError(f"cannot write {folder}: the folder {folder.parent} does not exist")
    if os.path.lexists(folder) and not folder.is_dir():
        raise OutputError(f"cannot write {folder}: it exists and is not a folder")
    folder.mkdir(exist_ok=True)
    try:
        lock = lock_path(folder)
    except BlockingIOError:
        raise OutputError(f"another run is writing {folder}: wait for it, or end it") from None
    try:
        _begin(folder, record)
        yield
        with publish_file(folder / _SUCCESS):
            pass
    finally:
        release(lock)


def _begin(folder: Path, record: Record) -> None:
    found = read_record(folder)
    if found is None:
        others = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
        if others:
            raise OutputError(
                f"{folder} holds {sorted(others)[0]} and is not the folder of a job: name another"
            )
        with publish_file(folder / _RECORD) as file:
            file.write(json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n")
    elif different := [
        key for key in (*record, *found) if _json(record.get(key)) != found.get(key)
    ]:
        key = different[0]
        raise OutputError(
            f"{folder} holds another job: {key} is {found.get(key)!r} there and "
            f"{_json(record.get(key))!r} here; name another folder, or remove it"
        )
    (folder / _SUCCESS).unlink(missing_ok=True)


def _json(value: Any) -> Any:
    """``value`` as it is read back from JSON."""
    return json.loads(json.dumps(value))
