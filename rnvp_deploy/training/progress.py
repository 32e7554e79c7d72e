"""Progress of a training on standard error."""

import shutil
import time
from typing import Self

import click

from rnvp_deploy.training.state import Epoch
from rnvp_runtime.standard_streams import on_terminal

__all__ = ["EpochProgress", "progress_line"]

_BAR = 20  # characters
_PLAIN_WIDTH = 80  # too narrow for the bar, which is of no use in a log
_LINES = 25  # roughly the number of lines written where standard error is not a terminal


class EpochProgress:
    """Shows each epoch: one line that is rewritten or, without a terminal, some plain lines.

    Use as a context manager, which ends the line.

    Example:
        epoch  57/229 ━━━━━──────────────  train 1.1521  held out 1.1493  best 1.1488  21 s left
    """

    def __init__(self) -> None:
        self._terminal = on_terminal()
        self._began = time.perf_counter()
        self._shown = 0
        self._best = float("inf")

    def __call__(self, epoch: Epoch) -> None:
        """Show ``epoch``, which has just ended."""
        self._shown += 1
        self._best = epoch.held_out if epoch.best else min(self._best, epoch.held_out)
        width = shutil.get_terminal_size().columns if self._terminal else _PLAIN_WIDTH
        text = progress_line(epoch, self._best, self._seconds_left(epoch), width)
        if self._terminal:
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)
        elif epoch.number % max(epoch.epochs // _LINES, 1) == 0 or epoch.number == 1:
            click.echo(text, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the line."""
        if self._terminal and self._shown:
            click.echo(err=True)

    def _seconds_left(self, epoch: Epoch) -> float:
        seconds_each = (time.perf_counter() - self._began) / self._shown
        return seconds_each * (epoch.epochs - epoch.number)


def progress_line(epoch: Epoch, best: float, seconds_left: float, width: int) -> str:
    """The longest description of ``epoch`` that fits into ``width`` characters.

    Args:
        epoch: The last completed epoch.
        best: The lowest held-out loss so far, nats a row.
        seconds_left: Until the last planned epoch.
        width: Of the terminal.

    Returns:
        One line. A line that is longer than the terminal would be wrapped, and could not be
        overwritten by the next one.
    """
    digits = len(str(epoch.epochs))
    filled = _BAR * epoch.number // epoch.epochs
    number = f"epoch {epoch.number:{digits}d}/{epoch.epochs}"
    bar = "━" * filled + "─" * (_BAR - filled)
    train, held_out = f"train {epoch.train:.4f}", f"held out {epoch.held_out:.4f}"
    score, left = f"best {best:.4f}", _say_time(seconds_left)
    for parts in (
        (number, bar, train, held_out, score, left),
        (number, train, held_out, score, left),
        (number, held_out, score, left),
        (number, score, left),
        (number, score),
    ):
        line = "  ".join(parts)
        if len(line) < width:
            return line
    return number[: max(width - 1, 0)]


def _say_time(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s left" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s left"
