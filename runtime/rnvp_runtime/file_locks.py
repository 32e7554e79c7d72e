"""Locks on files and folders, which the system releases when the process that holds them ends."""

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock_path", "release"]


def lock_path(path: Path) -> int | None:
    """A descriptor that locks ``path`` until it is closed; None where there are no such locks.

    Raises:
        BlockingIOError: another process holds the lock.
        FileNotFoundError: there is no such path.
    """
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # some network file systems
        os.close(descriptor)
        return None
    return descriptor


def release(lock: int | None) -> None:
    """Release the lock that `lock_path` returned."""
    if lock is not None:
        os.close(lock)
