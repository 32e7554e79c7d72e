"""Commands that report a user's error in one line, for every command of the distribution.

    @click.command(cls=UserErrorCommand)
    def score(...): ...

An error that the user can correct is printed on standard error, without a traceback, and sets the
exit code:

    RnvpError, OSError, MemoryError, a missing extra    Error: ...        1
    wrong options or arguments (click's own)            Usage: ...        2
    Ctrl-C                                              Interrupted.      130
    the reader of a pipe has ended                      (nothing)         1

Any other exception is a defect and keeps its traceback.
"""

import errno
from typing import Any

import click

from rnvp_runtime.errors import RnvpError
from rnvp_runtime.extras import missing_extra_message
from rnvp_runtime.standard_streams import prepare_streams
from rnvp_runtime.terminal.printable import printable

__all__ = ["UserErrorCommand"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a copy, the disk of the second file


class UserErrorCommand(click.Command):
    """A click command that reports the errors above in one line.

    Use as ``@click.command(cls=UserErrorCommand)``.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command as a program, also where standard streams are closed."""
        prepare_streams()
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and turn its errors into click's.

        Raises:
            click.ClickException: an error that the user can correct.
            click.exceptions.Exit: the command was interrupted.
        """
        try:
            return super().invoke(ctx)
        except RnvpError as error:
            raise _one_line(str(error)) from None
        except ImportError as error:
            if isinstance(error.__cause__, KeyboardInterrupt):  # while a C extension was loading
                raise _interrupted() from None
            line = missing_extra_message(error.name or "")
            if line is None or not isinstance(error, ModuleNotFoundError):
                raise
            raise _one_line(line) from None
        except KeyboardInterrupt:
            raise _interrupted() from None
        except OSError as error:
            if error.errno == errno.EPIPE or error.strerror is None:
                raise  # click ends without a message when the reader of a pipe has ended
            where = _where(error)
            raise _one_line(f"{error.strerror}: {where}" if where else error.strerror) from None
        except MemoryError:
            raise _one_line("not enough memory") from None


def _where(error: OSError) -> str:
    """The file of the error; empty if it has none. Copying and renaming have two files."""
    one, other = error.filename, error.filename2
    if one is None or other is None:
        return str(one or "")
    return str(other) if error.errno in _FULL else f"{one} to {other}"


def _one_line(text: str) -> click.ClickException:
    return click.ClickException(printable(" ".join(text.splitlines())))


def _interrupted() -> click.exceptions.Exit:
    click.echo("Interrupted.", err=True)
    return click.exceptions.Exit(130)
