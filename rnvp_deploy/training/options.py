"""The options of a training, as one frozen dataclass."""

import math
from dataclasses import dataclass

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.field_types import refuse_mistyped
from rnvp_deploy.plain_values import make_plain

__all__ = ["TrainingOptions"]

_BATCHES = 8000  # the default number of gradient steps, subject to these bounds on the epochs:
_FEWEST_EPOCHS, _MOST_EPOCHS = 20, 250
_SMALLEST_BATCH, _LARGEST_BATCH = 64, 512


@dataclass(frozen=True)
class TrainingOptions:
    """How to train. The defaults suit tables of 10³ to 10⁶ rows.

    Attributes:
        epochs: Passes over the rows. Default: as many as make 8,000 batches, at least 20 and at
            most 250.
        batch_size: Rows in a batch. Default: a sixteenth of the rows, at least 64 and at most 512.
        learning_rate: Adam's highest learning rate; a cosine schedule lowers it to 0.
        warmup: Batches over which the learning rate rises linearly to its highest value.
        clip: Gradient norms are clipped at this value.
        average: Decay per batch of the exponential moving average of the weights. The averaged
            weights are scored and kept. 0 turns averaging off.
        held_out: Fraction of the rows that are not trained on and are scored after each epoch.
        patience: Training stops after this many epochs without a better held-out score. Default:
            half of ``epochs``.
        max_seconds: Training stops at the end of the epoch during which this time has passed.
        keep_rows: At most this many held-out rows are kept in the record, and so in the
            checkpoint, for its report. 0 keeps none.
        seed: Seed of the held-out rows and of the order of the batches.

    Raises:
        TrainingError: A value is out of range.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 5e-3
    warmup: int = 100
    clip: float = 1.0
    average: float = 0.995
    held_out: float = 0.1
    patience: int | None = None
    max_seconds: float | None = None
    keep_rows: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        refuse_mistyped(self, TrainingError)
        for name in ("epochs", "batch_size", "learning_rate", "clip", "patience", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise TrainingError(f"{name} is {value}; expected a finite number above 0")
        if not 0 < self.held_out < 1:
            raise TrainingError(f"held_out is {self.held_out}; expected a fraction between 0 and 1")
        if not 0 <= self.average < 1:
            raise TrainingError(f"average is {self.average}; expected at least 0 and less than 1")
        for name in ("warmup", "keep_rows"):
            if getattr(self, name) < 0:
                raise TrainingError(f"{name} is {getattr(self, name)}; expected at least 0")
        if not -(2**63) <= self.seed < 2**64:
            raise TrainingError(f"seed is {self.seed}; expected an integer below 2**64")

    def batch_size_for(self, rows: int) -> int:
        """The batch size for this many training rows."""
        if self.batch_size is not None:
            return self.batch_size
        return min(max(rows // 16, _SMALLEST_BATCH), _LARGEST_BATCH)

    def epochs_for(self, batches: int) -> int:
        """The number of epochs when an epoch has this many batches."""
        if self.epochs is not None:
            return self.epochs
        return min(max(math.ceil(_BATCHES / batches), _FEWEST_EPOCHS), _MOST_EPOCHS)

    def patience_for(self, epochs: int) -> int:
        """The patience, in epochs, of a training of this many epochs."""
        return max(epochs // 2, 1) if self.patience is None else self.patience
