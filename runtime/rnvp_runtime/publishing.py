"""Files and folders that are written atomically: they appear complete, or not at all.

Each is written under a temporary name beside its target, ``.NAME.<8 hex digits>.tmp``, flushed to
the disk and renamed. If the block raises, Ctrl-C included, the target stays as it was and the
temporary file or folder is removed.

What replaces a file or folder gets its permissions, and has them while it is written.

A process that is killed cannot remove it. The next run for the same target does: a writer holds a
lock (flock) on what it writes, and the system releases the lock of a process that ends. Where there
are no such locks, files and folders older than a day are removed.
"""

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rnvp_runtime.errors import OutputError, RnvpError
from rnvp_runtime.file_locks import lock_path, release
from rnvp_runtime.renaming import exchange, rename_new

__all__ = ["check_folder_target", "publish_file", "publish_folder"]

_A_DAY = 86_400.0  # seconds


@contextmanager
def publish_file(
    path: str | os.PathLike[str], *, replace: bool = True, error: type[RnvpError] = OutputError
) -> Iterator[BinaryIO]:
    """A new file, open for writing, that takes the place of ``path`` when the block ends.

    A symbolic link is followed: the file that it names is replaced.

    Args:
        path: where the file is to be.
        replace: whether a file that is there when the block ends is replaced.
        error: the class to raise.

    Raises:
        RnvpError: as ``error``: the folder does not exist, ``path`` is not a regular file, or it is
            there and may not be replaced.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise error(f"cannot write {path}: the folder {target.parent} does not exist")
    if target.exists() and not target.is_file():
        raise error(f"cannot write {path}: it exists and is not a regular file")
    _remove_abandoned(target)
    temporary, lock = _create(target, lambda new: new.touch(exist_ok=False))
    try:
        with open(temporary, "r+b") as file:
            _take_permissions(temporary, target, 0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            _take_permissions(temporary, target)
            os.replace(temporary, target)
        else:
            _put_new(temporary, target, error)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
        release(lock)


def _put_new(temporary: Path, target: Path, error: type[RnvpError]) -> None:
    try:
        rename_new(temporary, target)
    except FileExistsError:
        raise error(f"{target} exists, and was not replaced: name another output") from None


@contextmanager
def publish_folder(
    target: str | os.PathLike[str],
    *,
    force: bool,
    is_ours: Callable[[Path], bool],
    kind: str = "folder of this program",
    error: type[RnvpError] = OutputError,
) -> Iterator[Path]:
    """A new folder that takes the place of ``target`` when the block ends, in one step.

    The target is checked when the block begins, and again at the moment of publishing: a target
    that appeared meanwhile is replaced only with ``force``, and only if ``is_ours`` is true for it.
    On Linux a reader sees the old folder or the new one at any time. Elsewhere the target is absent
    between two renames, and the next run repairs what a killed process left in between.

    A symbolic link is followed: the folder that it names is replaced.

    Args:
        force: replace a folder that is there already.
        is_ours: whether a path is of the kind written here, and may be replaced by ``force``.
        kind: what such a folder is called in errors, such as "bundle".
        error: the class to raise.

    Yields:
        The empty temporary folder, to be filled. Its mode becomes 0755, or that of the folder that
        it replaces. What is in both folders keeps its mode too.

    Raises:
        RnvpError: as ``error``: the folder above does not exist, or the target may not be
            replaced.
    """
    target = Path(os.path.realpath(target))
    check_folder_target(target, force=force, is_ours=is_ours, kind=kind, error=error)
    _remove_abandoned(target)
    temporary, lock = _create(target, os.mkdir)
    try:
        _take_permissions(temporary, target, 0o700)
        yield temporary
        temporary.chmod(0o755)
        _sync_tree(temporary)
        for path in (*temporary.rglob("*"), temporary):
            _take_permissions(path, target / path.relative_to(temporary))
        while not _put_in_place(temporary, target):
            _check_replaceable(target, force, is_ours, kind, error)
            if _replace(temporary, target, is_ours):
                break
        _sync_folder(target.parent)
    finally:
        _remove_folder(temporary)  # after an exchange this is the old folder
        release(lock)


def check_folder_target(
    target: str | os.PathLike[str],
    *,
    force: bool,
    is_ours: Callable[[Path], bool],
    kind: str = "folder of this program",
    error: type[RnvpError] = OutputError,
) -> None:
    """Refuse a target that `publish_folder` would refuse, before its content is made.

    Raises:
        RnvpError: as ``error``; see `publish_folder`.
    """
    target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        raise error(f"cannot write {target}: the folder {target.parent} does not exist")
    _restore_interrupted(target, is_ours)
    if os.path.lexists(target):
        _check_replaceable(target, force, is_ours, kind, error)


def _check_replaceable(
    target: Path,
    force: bool,
    is_ours: Callable[[Path], bool],
    kind: str,
    error: type[RnvpError],
) -> None:
    """Refuse a target that exists and may not be replaced; a link here is not followed."""
    if not force:
        raise error(f"{target} is there already; --force replaces it, -o names another")
    if os.path.lexists(target) and (target.is_symlink() or not is_ours(target)):
        raise error(f"{target} is there already and is not a {kind}; it is left alone")


def _put_in_place(temporary: Path, target: Path) -> bool:
    """Rename to the target if there is none; False if there is one."""
    try:
        rename_new(temporary, target)
    except FileExistsError:
        return False
    return True


def _replace(temporary: Path, target: Path, is_ours: Callable[[Path], bool]) -> bool:
    """Replace a target that may be replaced; False if the target changed meanwhile."""
    try:
        if exchange(temporary, target):
            if is_ours(temporary):
                return True
            exchange(temporary, target)  # a folder of another kind had appeared
            return False
        old = temporary.with_suffix(".old")
        os.rename(target, old)
    except FileNotFoundError:
        return False
    try:
        os.rename(temporary, target)
    except BaseException:
        os.rename(old, target)
        raise
    _remove_folder(old)
    return True


def _restore_interrupted(target: Path, is_ours: Callable[[Path], bool]) -> None:
    """Finish or undo the two renames of a process that was killed between them."""
    for old in _beside(target, "old"):
        temporary = old.with_suffix(".tmp")
        if temporary.exists() and not _is_abandoned(temporary):
            continue
        if os.path.lexists(target):
            _remove_folder(old)
        elif is_ours(old):
            with suppress(OSError):
                rename_new(old, target)


def _remove_abandoned(target: Path) -> None:
    for path in _beside(target, "tmp"):
        if _is_abandoned(path):
            _remove_folder(path)
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    """Remove a folder, also one that was made read-only; nothing, if it is a file."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path, _, _ in os.walk(folder):
        with suppress(OSError):
            os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _beside(target: Path, suffix: str) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.{suffix}")
    with os.scandir(target.parent) as entries:
        return [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name)]


def _create(target: Path, make: Callable[[Path], None]) -> tuple[Path, int | None]:
    """Make and lock a temporary file or folder beside ``target``: its path and the lock."""
    while True:
        temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
        make(temporary)
        try:
            lock = lock_path(temporary)
        except (BlockingIOError, FileNotFoundError):
            continue  # another run took it, in between, for an abandoned one
        if temporary.exists():
            return temporary, lock
        release(lock)


def _take_permissions(new: Path, old: Path, added: int = 0) -> None:
    """Give ``new`` the mode, the group and where possible the owner of ``old``, if that is there.

    Args:
        new: a file or folder of this process.
        old: what it replaces. A link, and a folder for a file, are not looked at.
        added: bits of the mode that ``new`` has beside those of ``old``.
    """
    if os.name != "posix":
        return
    try:
        found, had = os.lstat(new), os.lstat(old)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_IFMT(found.st_mode) != stat.S_IFMT(had.st_mode) or stat.S_ISLNK(had.st_mode):
        return
    for owner in (had.st_uid, -1):  # only root may give a file away
        with suppress(OSError):
            os.chown(new, owner, had.st_gid)
            break
    found, mode = os.lstat(new), stat.S_IMODE(had.st_mode)
    if found.st_gid != had.st_gid:  # another group may do what everyone may
        mode = mode & ~0o070 | (mode & 0o007) << 3
    if mode | added != stat.S_IMODE(found.st_mode):
        os.chmod(new, mode | added)


def _is_abandoned(path: Path) -> bool:
    """Whether the process that wrote ``path`` has ended."""
    try:
        lock = lock_path(path)
        age = time.time() - path.stat().st_mtime
    except (BlockingIOError, FileNotFoundError):
        return False
    release(lock)
    return lock is not None or age > _A_DAY


def _sync_tree(folder: Path) -> None:
    """Flush every file and folder of ``folder``, and itself, to the disk."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
