"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rnvp_runtime.errors import TableError

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new file, open for writing, that takes the place of ``path`` when the block ends.

    It is written beside its target, so that the last step is one rename on one file system. If
    the block raises, Ctrl-C included, the target stays as it was and nothing is left behind. A
    symbolic link is followed.

    Raises
    ------
    TableError
        The folder does not exist, or ``path`` is something other than a regular file.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise TableError(f"cannot write {path}: the folder {target.parent} does not exist")
    if target.exists() and not target.is_file():
        raise TableError(f"cannot write {path}: it exists and is not a regular file")
    beside = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
