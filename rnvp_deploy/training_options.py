"""How to train: one frozen dataclass."""

import math
from dataclasses import dataclass

from rnvp_deploy.errors import TrainingError

__all__ = ["TrainingOptions"]

_BATCHES = 8000  # a training is this long by default, within these epochs:
_FEWEST_EPOCHS, _MOST_EPOCHS = 20, 250
_SMALLEST_BATCH, _LARGEST_BATCH = 64, 512


@dataclass(frozen=True)
class TrainingOptions:
    """How to train. The defaults suit tables of 10³ to 10⁶ rows.

    epochs:         passes over the rows; by default as many as make 8,000 batches, but 20 to 250.
    batch_size:     rows a gradient is taken over; by default a sixteenth of them, but 64 to 512.
    learning_rate:  of Adam, at its highest; it then falls to 0 along a cosine.
    warmup:         batches over which it rises to that.
    clip:           the longest gradient that is not shortened.
    average:        what is scored and kept is a running mean of the weights, with this decay a
                    batch; 0 keeps the weights themselves.
    held_out:       the fraction of rows that are not trained on but scored after each epoch.
    patience:       epochs without a better held-out score after which training stops; by default
                    half of the epochs.
    max_seconds:    training stops at the end of the epoch that is then under way.
    seed:           draws the held-out rows and the batches.
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
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "clip", "patience", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise TrainingError(f"{name} is {value}; it must be more than 0, and finite")
        if not 0 < self.held_out < 1:
            raise TrainingError(f"held_out is {self.held_out}; it is a fraction, between 0 and 1")
        if not 0 <= self.average < 1:
            raise TrainingError(f"average is {self.average}; it must be at least 0 and below 1")
        if self.warmup < 0:
            raise TrainingError(f"warmup is {self.warmup}; it cannot be negative")

    def batch_for(self, rows: int) -> int:
        """How many rows a batch has, of so many that are trained on."""
        if self.batch_size is not None:
            return self.batch_size
        return min(max(rows // 16, _SMALLEST_BATCH), _LARGEST_BATCH)

    def epochs_for(self, batches: int) -> int:
        """How many epochs, where one has so many batches."""
        if self.epochs is not None:
            return self.epochs
        return min(max(math.ceil(_BATCHES / batches), _FEWEST_EPOCHS), _MOST_EPOCHS)

    def patience_for(self, epochs: int) -> int:
        """How many epochs without a better score are borne, of so many."""
        return max(epochs // 2, 1) if self.patience is None else self.patience
