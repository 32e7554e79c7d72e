"""A progress bar on standard error, for a person who waits."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

__all__ = ["progress", "telling"]

_LONG = 200_000  # rows that take long enough to be worth a bar


@contextmanager
def progress(rows: int | None, label: str) -> Iterator[Callable[[int], None]]:
    """Call what this gives with the number of rows just done.

    Nothing is shown where standard error is not a terminal, or the rows are few. ``rows`` is
    None where their number is not known: then they are only counted.
    """
    if not sys.stderr.isatty() or (rows is not None and rows < _LONG):
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
def telling() -> Iterator[Callable[[str], None]]:
    """Call what this gives with what is being done now: one line, overwritten, gone at the end."""
    if not sys.stderr.isatty():
        yield lambda doing: None
        return
    try:
        yield lambda doing: click.echo(f"\r\x1b[2K{doing} …", err=True, nl=False)
    finally:
        click.echo("\r\x1b[2K", err=True, nl=False)
