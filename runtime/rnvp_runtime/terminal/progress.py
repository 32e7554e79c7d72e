"""Progress on standard error. Nothing is shown if standard error is not a terminal."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from rnvp_runtime.standard_streams import on_terminal

__all__ = ["progress_bar", "progress_line", "status_line"]

_FIRST_AFTER = 1.0  # seconds; shorter work needs no progress
_EVERY = 0.1  # seconds


@contextmanager
def progress_bar(
    rows: int | None, label: str, *, estimated: bool = False
) -> Iterator[Callable[[int], None]]:
    """One line about a long loop over rows; it is overwritten, and erased at the end.

    Args:
        rows: their number; None if it is not known.
        label: what is being done.
        estimated: ``rows`` is an estimate.

    Yields:
        A function to call with the number of rows just done.

    Example:
        Scoring 25 % of 5,000,000 rows, 0:12 left, 310,000 rows/s
    """
    if not on_terminal():
        yield lambda done: None
        return
    began, shown_at, total = time.monotonic(), 0.0, 0

    def advance(done: int) -> None:
        nonlocal shown_at, total
        total += done
        now = time.monotonic()
        if now - began >= _FIRST_AFTER and now - shown_at >= _EVERY:
            shown_at = now
            width = shutil.get_terminal_size().columns - 1
            line = progress_line(label, total, rows, now - began, width, estimated=estimated)
            click.echo(f"\r\x1b[2K{line}", err=True, nl=False)

    try:
        yield advance
    finally:
        if shown_at:
            click.echo("\r\x1b[2K", err=True, nl=False)


def progress_line(
    label: str, done: int, rows: int | None, seconds: float, width: int, *, estimated: bool = False
) -> str:
    """The longest description that fits into ``width`` characters.

    Args:
        label: what is being done.
        done: rows done.
        rows: all rows; None if their number is not known.
        seconds: that it took so far, more than 0.
        width: of the terminal. A longer line would be wrapped, and could not be overwritten.
        estimated: ``rows`` is an estimate.
    """
    rate = done / seconds
    speed = f"{rate:,.0f} rows/s"
    if rows is None:
        parts = [f"{label} {done:,} rows", speed]
    else:
        rows, about = max(rows, done, 1), "~" if estimated else ""
        left = f"{about}{_duration((rows - done) / rate)} left" if rate else ""
        share = f"{label} {100 * done // rows} %"
        parts = [f"{share} of {about}{rows:,} rows", left, speed]
        if len(parts[0]) > width:
            parts[0] = share
    while len(parts) > 1 and len(", ".join(filter(None, parts))) > width:
        parts.pop()
    return ", ".join(filter(None, parts))[: max(width, 0)]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """One line that says what is being done now; it is overwritten, and erased at the end.

    Yields:
        A function to call with a few words.
    """
    if not on_terminal():
        yield lambda doing: None
        return

    def show(doing: str) -> None:
        text = f"{doing} …"[: max(shutil.get_terminal_size().columns - 1, 0)]
        click.echo(f"\r\x1b[2K{text}", err=True, nl=False)

    try:
        yield show
    finally:
        click.echo("\r\x1b[2K", err=True, nl=False)
