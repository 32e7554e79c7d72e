"""Standard input, output and error, which may be closed: ``rnvp-score … 2>&-``, or no console.

Python then has None in `sys`. The first files that are opened get the numbers of the closed
streams, and what a library in C writes to standard error would go into a table.

Their encoding may lack a character of a name. A name of a file need not be text in any encoding.
"""

import io
import os
import sys
from typing import BinaryIO, Literal, cast

from rnvp_runtime.errors import TableError

__all__ = ["binary_stream", "on_terminal", "prepare_streams"]

_NAMES = {"stdin": "standard input", "stdout": "standard output"}


class _Closed(io.TextIOWrapper):
    """Stands for a standard stream that was closed when the program began."""


def prepare_streams() -> None:
    """Open the null device for each standard stream that is closed, and let all text be printed.

    Every command calls this first. What the encoding of standard output lacks is printed as an
    escape, as on standard error.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # The lowest free number, which is that of the stream.
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor <= 2:
                os.set_inheritable(descriptor, True)  # as standard streams are
            mode = "rb" if name == "stdin" else "wb"
            file = open(descriptor, mode, closefd=False)  # noqa: SIM115
            setattr(sys, name, _Closed(file, encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def binary_stream(name: Literal["stdin", "stdout"]) -> BinaryIO:
    """The bytes of standard input or standard output, for a table.

    Raises:
        TableError: it is closed, or takes text only, as in a notebook.
    """
    stream = getattr(sys, name)
    if stream is None or isinstance(stream, _Closed) or getattr(stream, "closed", False):
        raise TableError(f"{_NAMES[name]} is closed: name a file")
    if not hasattr(stream, "buffer"):
        raise TableError(f"{_NAMES[name]} has text and no bytes here: name a file")
    return cast(BinaryIO, stream.buffer)


def on_terminal() -> bool:
    """Whether standard error is a terminal, which can show progress."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # None, or closed
        return False
