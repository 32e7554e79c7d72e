"""Commands whose errors are one line, for every command of the distribution.

    @click.command(cls=OneLineCommand)
    def score(...): ...

What the user can mend is told on standard error, without a traceback, and sets the exit code:

    RnvpError, OSError, MemoryError, a missing extra    Error: ...        1
    wrong options or arguments (click's own)            Usage: ...        2
    Ctrl-C                                              Interrupted.      130
    the reader of a pipe went away                      (nothing)         1

Any other exception is a defect of ours and keeps its traceback.
"""

import errno
from typing import Any

import click

from rnvp_runtime.errors import RnvpError
from rnvp_runtime.extras import what_to_install

__all__ = ["OneLineCommand", "OneLineGroup"]


class _OneLine(click.Command):
    """A click command that tells the errors above in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, with errors turned into click's.

        Raises
        ------
        click.ClickException, click.exceptions.Exit
        """
        try:
            return super().invoke(ctx)
        except RnvpError as error:
            raise _complaint(str(error)) from None
        except ImportError as error:
            if isinstance(error.__cause__, KeyboardInterrupt):  # while a C extension was loading
                raise _interrupted() from None
            line = what_to_install(error.name or "")
            if line is None or not isinstance(error, ModuleNotFoundError):
                raise
            raise _complaint(line) from None
        except KeyboardInterrupt:
            raise _interrupted() from None
        except OSError as error:
            if error.errno == errno.EPIPE or error.strerror is None:
                raise  # click ends quietly when a pipe's reader is gone
            where = f": {error.filename}" if error.filename else ""
            raise _complaint(f"{error.strerror}{where}") from None
        except MemoryError:
            raise _complaint("not enough memory") from None


class OneLineCommand(_OneLine):
    """Use as ``@click.command(cls=OneLineCommand)``."""


class OneLineGroup(_OneLine, click.Group):
    """Use as ``@click.group(cls=OneLineGroup)``; its commands need no class of their own."""


def _complaint(text: str) -> click.ClickException:
    return click.ClickException(" ".join(text.splitlines()))


def _interrupted() -> click.exceptions.Exit:
    click.echo("Interrupted.", err=True)
    return click.exceptions.Exit(130)
