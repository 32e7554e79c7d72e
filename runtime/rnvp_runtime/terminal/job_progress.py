"""The progress of a long job: share, rows, rate and time left, in one line that is overwritten.

Nothing is shown if standard error is not a terminal.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from rnvp_runtime.standard_streams import on_terminal

__all__ = ["job_progress", "progress_text"]

_EVERY = 0.2  # seconds between two lines


@contextmanager
def job_progress(label: str) -> Iterator[Callable[[int, float], None]]:
    """Shows how far a job is.

    Args:
        label: what is being done.

    Yields:
        A function to call with the rows done and the share of the work, 0 to 1.
    """
    if not on_terminal():
        yield lambda rows, share: None
        return
    began = shown = time.monotonic()

    def report(rows: int, share: float) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= _EVERY:
            text = progress_text(label, rows, share, now - began)
            click.echo(f"\r\x1b[2K{text}", err=True, nl=False)
            shown = now

    try:
        yield report
    finally:
        click.echo("\r\x1b[2K", err=True, nl=False)


def progress_text(label: str, rows: int, share: float, seconds: float) -> str:
    """A text such as ``Sampling 12.5 %, 1,250,000 rows, 500,000 rows/s, 18 s left``."""
    text = f"{label} {100 * share:.1f} %, {rows:,} rows, {rows / max(seconds, 1e-9):,.0f} rows/s"
    return f"{text}, {_duration(seconds * (1 - share) / share)} left" if share > 0 else text


def _duration(seconds: float) -> str:
    """A text such as ``18 s``, ``3 min 20 s``, ``5 h 12 min`` or ``2 d 3 h``."""
    whole = round(seconds)
    for size, name, part, part_name in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {part_name}"
    return f"{whole} s"
