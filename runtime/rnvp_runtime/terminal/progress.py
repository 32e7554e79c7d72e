"""Progress on standard error. Nothing is shown if standard error is not a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

__all__ = ["progress_bar", "status_line"]

_MANY_ROWS = 200_000  # fewer take too little time for a bar


@contextmanager
def progress_bar(rows: int | None, label: str) -> Iterator[Callable[[int], None]]:
    """A bar for a long loop over rows; not shown if the rows are few.

    Args:
        rows: their number. If it is None, the rows done are counted and no bar is drawn.
        label: what is being done.

    Yields:
        A function to call with the number of rows just done.
    """
    if not sys.stderr.isatty() or (rows is not None and rows < _MANY_ROWS):
        yield lambda done: None
        return
    if rows is None:
        total = 0

        def count(done: int) -> None:
            nonlocal total
            total += done
            click.echo(f"\r{label} {total:,} rows", err=True, nl=False)

        yield count
        click.echo(err=True)
        return
    with click.progressbar(length=rows, label=label, file=sys.stderr) as bar:
        yield bar.update


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """One line that says what is being done now; it is overwritten, and erased at the end.

    Yields:
        A function to call with a few words.
    """
    if not sys.stderr.isatty():
        yield lambda doing: None
        return
    try:
        yield lambda doing: click.echo(f"\r\x1b[2K{doing} …", err=True, nl=False)
    finally:
        click.echo("\r\x1b[2K", err=True, nl=False)
