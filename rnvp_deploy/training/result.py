"""The result of a training."""

from dataclasses import dataclass
from typing import Any, Literal

from rnvp_deploy.training.data_warnings import DataWarning
from rnvp_deploy.training.state import Epoch

__all__ = ["StopReason", "Training"]

StopReason = Literal["epochs", "patience", "max_seconds", "interrupt", "diverged"]


@dataclass(frozen=True)
class Training:
    """The result of ``fit``.

    Attributes:
        epochs: Every completed epoch.
        best: The epoch with the lowest held-out loss; the flow holds its weights.
        stopped: What ended the training.
        seconds: Duration of this call of ``fit``.
        rows: Number of training rows.
        held_out_rows: Number of held-out rows.
        warnings: Columns that a flow cannot represent well; logged before training too.
        record: The state as plain values, for ``save(..., training=record)``.
    """

    epochs: tuple[Epoch, ...]
    best: Epoch
    stopped: StopReason
    seconds: float
    rows: int
    held_out_rows: int
    warnings: tuple[DataWarning, ...]
    record: dict[str, Any]
