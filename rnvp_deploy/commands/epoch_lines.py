"""Progress of a training on standard error, for a person who waits."""

import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rnvp_deploy.training import Epoch

__all__ = ["EpochLines"]

_LINES = 25  # about so many are written where there is no terminal


class EpochLines:
    """One line that is rewritten each epoch; where there is no terminal, some plain lines.

    epoch  57/229 ━━━━━──────────────  train 1.1521  held out 1.1493  best 1.1488  21 s left
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began = time.perf_counter()
        self._seen = 0
        self._best = float("inf")

    def __call__(self, epoch: "Epoch") -> None:
        """Show ``epoch``, just done."""
        self._seen += 1
        self._best = epoch.held_out if epoch.best else min(self._best, epoch.held_out)
        text = self._line(epoch)
        if self._terminal:
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)
        elif epoch.number % max(epoch.epochs // _LINES, 1) == 0 or epoch.number == 1:
            click.echo(text, err=True)

    def close(self) -> None:
        """End the line."""
        if self._terminal and self._seen:
            click.echo(err=True)

    def _line(self, epoch: "Epoch") -> str:
        width = len(str(epoch.epochs))
        losses = (
            f"train {epoch.train:.4f}  held out {epoch.held_out:.4f}  best {self._best:.4f}  "
            f"{self._left(epoch)}"
        )
        bar = ""
        if self._terminal:
            done = 20 * epoch.number // epoch.epochs
            bar = "━" * done + "─" * (20 - done) + "  "
        return f"epoch {epoch.number:{width}d}/{epoch.epochs}  {bar}{losses}"

    def _left(self, epoch: "Epoch") -> str:
        each = (time.perf_counter() - self._began) / self._seen
        seconds = round(each * (epoch.epochs - epoch.number))
        if seconds < 60:
            return f"{seconds} s left"
        return f"{seconds // 60} min {seconds % 60:02d} s left"
