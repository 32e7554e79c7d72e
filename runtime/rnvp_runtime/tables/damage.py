"""The exceptions of parsers of damaged files, as one kind of error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rnvp_runtime.errors import RnvpError, TableError

__all__ = ["refusing_damage"]


@contextmanager
def refusing_damage(name: str, kind: str) -> Iterator[None]:
    """Turn every exception of a parser into a TableError of one line.

    Parsers of Parquet, zip and numpy's files raise many types for a damaged file: ValueError,
    OSError, KeyError, MemoryError, zlib.error, struct.error and others. No list of them is
    complete.

    Args:
        name: the file, for the message.
        kind: what it was read as, such as "Parquet".

    Raises:
        TableError: for any exception that is not an RnvpError already.
    """
    try:
        yield
    except RnvpError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise TableError(f"{name} cannot be read as {kind}: {reason}") from None
