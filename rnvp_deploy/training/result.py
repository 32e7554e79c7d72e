"""The result of a training."""

import html
from dataclasses import dataclass
from typing import Any, Literal

from rnvp_deploy.training.curve import learning_curve
from rnvp_deploy.training.data_warnings import DataWarning
from rnvp_deploy.training.state import Epoch

__all__ = ["StopReason", "Training"]

StopReason = Literal["epochs", "patience", "max_seconds", "interrupt", "diverged"]


@dataclass(frozen=True, repr=False)
class Training:
    """The result of ``fit``. Losses are in nats a row; lower is better.

    Attributes:
        epochs: Every completed epoch.
        best: The epoch with the lowest held-out loss; the flow holds its weights.
        stopped: What ended the training.
        seconds: Duration of this call of ``fit``.
        rows: Number of training rows.
        held_out_rows: Number of held-out rows.
        gaussian: Held-out loss of a Gaussian with a full covariance; None if it is singular.
        warnings: Columns that a flow cannot represent well; logged before training too.
        notes: What the training showed, such as overfitting, and what to change.
        record: The state as plain values, for ``save(..., training=record)``. Its entry
            ``summary`` is read by ``read_summary``.
    """

    epochs: tuple[Epoch, ...]
    best: Epoch
    stopped: StopReason
    seconds: float
    rows: int
    held_out_rows: int
    gaussian: float | None
    warnings: tuple[DataWarning, ...]
    notes: tuple[str, ...]
    record: dict[str, Any]

    def __repr__(self) -> str:
        gaussian = "" if self.gaussian is None else f", Gaussian {self.gaussian:.4f}"
        return (
            f"Training({self.best.held_out:.4f} nats a row on {self.held_out_rows:,} held-out "
            f"rows{gaussian}; epoch {self.best.number} of {len(self.epochs)}, stopped by "
            f"{self.stopped}, {self.seconds:.1f} s)"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the result, the learning curve, warnings and notes."""
        messages = [*(warning.message for warning in self.warnings), *self.notes]
        items = "".join(f"<li>{html.escape(message)}</li>" for message in messages)
        curve = learning_curve(
            [epoch.train for epoch in self.epochs],
            [epoch.held_out for epoch in self.epochs],
            self.best.number,
        )
        return f"<p>{html.escape(repr(self))}</p>{curve}{f'<ul>{items}</ul>' if items else ''}"
