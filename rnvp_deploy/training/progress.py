"""Progress of a training on standard error."""

import sys
import time
from typing import Self

import click

from rnvp_deploy.training.state import Epoch

__all__ = ["EpochProgress"]

_LINES = 25  # roughly the number of lines written where standard error is not a terminal


class EpochProgress:
    """Shows each epoch: one line that is rewritten or, without a terminal, some plain lines.

    Use as a context manager, which ends the line.

    Example:
        epoch  57/229 ━━━━━──────────────  train 1.1521  held out 1.1493  best 1.1488  21 s left
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began = time.perf_counter()
        self._shown = 0
        self._best = float("inf")

    def __call__(self, epoch: Epoch) -> None:
        """Show ``epoch``, which has just ended."""
        self._shown += 1
        self._best = epoch.held_out if epoch.best else min(self._best, epoch.held_out)
        text = self._line(epoch)
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

    def _line(self, epoch: Epoch) -> str:
        width = len(str(epoch.epochs))
        losses = (
            f"train {epoch.train:.4f}  held out {epoch.held_out:.4f}  best {self._best:.4f}  "
            f"{self._time_left(epoch)}"
        )
        bar = ""
        if self._terminal:
            filled = 20 * epoch.number // epoch.epochs
            bar = "━" * filled + "─" * (20 - filled) + "  "
        return f"epoch {epoch.number:{width}d}/{epoch.epochs}  {bar}{losses}"

    def _time_left(self, epoch: Epoch) -> str:
        seconds_each = (time.perf_counter() - self._began) / self._shown
        seconds = round(seconds_each * (epoch.epochs - epoch.number))
        if seconds < 60:
            return f"{seconds} s left"
        return f"{seconds // 60} min {seconds % 60:02d} s left"
