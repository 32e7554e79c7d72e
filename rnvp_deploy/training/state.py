"""The state of a training between two epochs, and its record in the checkpoint."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.training.options import TrainingOptions

__all__ = ["Epoch", "TrainingState", "recorded_options"]

_RECORDED = frozenset(
    ("options", "rows", "losses", "best", "weights", "averages", "optimizer", "generator")
)


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch. Losses are mean −log_prob, in nats a row; lower is better.

    Attributes:
        number: Counted from 1.
        epochs: How many are planned in all.
        train: Mean loss of the epoch's batches, each before its own step. Skipped batches are left
            out; NaN if all were skipped.
        held_out: Loss of the averaged weights at the end of the epoch.
        best: Whether ``held_out`` is the lowest so far.
        batches: How many batches the epoch has.
        skipped: How many of them were skipped, because their loss or gradient was not finite.
    """

    number: int
    epochs: int
    train: float
    held_out: float
    best: bool
    batches: int
    skipped: int

    @property
    def diverged(self) -> bool:
        """Whether the held-out loss is not finite or most batches were skipped."""
        return not math.isfinite(self.held_out) or 2 * self.skipped > self.batches


@dataclass(frozen=True)
class TrainingState:
    """Everything that is needed to continue after a completed epoch.

    Attributes:
        weights: The flow's state dict, as trained.
        averages: Moving averages of the trainable parameters, in their order.
        optimizer: Adam's state dict.
        generator: State of the random generator.
        losses: (train, held out) for each completed epoch, in nats a row.
        skipped: Number of skipped batches of each completed epoch.
        best: Number of the epoch with the lowest held-out loss, from 1; 0 if there is none.
        best_weights: The averaged state dict at the end of that epoch.
    """

    weights: dict[str, Tensor]
    averages: list[Tensor]
    optimizer: dict[str, Any]
    generator: Tensor
    losses: tuple[tuple[float, float], ...]
    skipped: tuple[int, ...]
    best: int
    best_weights: dict[str, Tensor]

    @property
    def completed(self) -> int:
        """The number of completed epochs."""
        return len(self.losses)

    @property
    def best_loss(self) -> float:
        """The lowest held-out loss so far, in nats a row."""
        return self.losses[self.best - 1][1] if self.best else math.inf

    def history(self, planned: int, batches: int) -> tuple[Epoch, ...]:
        """The completed epochs of a training with this many planned epochs and batches each."""
        epochs: list[Epoch] = []
        best_loss = math.inf
        for number, ((train, held_out), skipped) in enumerate(
            zip(self.losses, self.skipped, strict=True), start=1
        ):
            epoch = Epoch(number, planned, train, held_out, held_out < best_loss, batches, skipped)
            if epoch.diverged:
                epoch = replace(epoch, best=False)
            elif epoch.best:
                best_loss = held_out
            epochs.append(epoch)
        return tuple(epochs)

    def record(self, options: TrainingOptions, fingerprint: str) -> dict[str, Any]:
        """This state as plain values and tensors, for the checkpoint.

        The best weights are left out, since the checkpoint holds them as the flow's own.
        ``max_seconds`` is left out too, so that an interrupted and resumed training ends with
        the same record as an uninterrupted one.
        """
        return {
            "options": asdict(replace(options, max_seconds=None)),
            "rows": fingerprint,
            "losses": [list(pair) for pair in self.losses],
            "skipped": list(self.skipped),
            "best": self.best,
            "weights": self.weights,
            "averages": self.averages,
            "optimizer": self.optimizer,
            "generator": self.generator,
        }


def recorded_options(record: Mapping[str, Any]) -> TrainingOptions:
    """The options in the record of a training.

    Raises:
        TrainingError: The record is not one of a training that can be resumed.
    """
    try:
        options = TrainingOptions(**record["options"])
    except (KeyError, TypeError):
        options = None
    if options is None or not record.keys() >= _RECORDED:
        raise TrainingError("it holds no training that could be resumed")
    return options
