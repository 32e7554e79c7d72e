"""A training under way, epoch by epoch, and its state in between."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.training_options import TrainingOptions
from rnvp_deploy.training_rows import Rows, hold_out

__all__ = ["RECORDED", "Epoch", "Run", "State"]

RECORDED = frozenset(
    ("options", "rows", "losses", "best", "weights", "averages", "optimizer", "generator")
)
"""What the record of a training holds."""

_SCORED = 16_384  # rows scored at once


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. Losses are mean −log p, in nats a row; lower is better."""

    number: int  # from 1
    epochs: int  # planned in all
    train: float  # mean over the epoch's batches, as they were met
    held_out: float  # of the averaged weights at its end
    best: bool  # the best so far


@dataclass(frozen=True)
class State:
    """A training between two epochs: all that going on needs."""

    weights: dict[str, Tensor]
    averages: list[Tensor]  # running means, a parameter each
    optimizer: dict[str, Any]
    generator: Tensor
    losses: tuple[tuple[float, float], ...]  # (train, held out), an epoch each
    best: int  # the epoch with the best weights, from 1; 0 before there is one
    best_weights: dict[str, Tensor]

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.losses)

    @property
    def least(self) -> float:
        """The best held-out loss so far."""
        return self.losses[self.best - 1][1] if self.best else math.inf

    def history(self, planned: int) -> tuple[Epoch, ...]:
        """The epochs done, of so many ``planned``."""
        epochs, least = [], math.inf
        for number, (train, held) in enumerate(self.losses, start=1):
            epochs.append(Epoch(number, planned, train, held, best=held < least))
            least = held if held < least else least
        return tuple(epochs)

    def record(self, options: TrainingOptions, rows: str) -> dict[str, Any]:
        """This state but the best weights, which are the checkpoint's own, as plain values.

        ``max_seconds`` is of one call, and is left out: the record does not depend on it.
        """
        return {
            "options": asdict(replace(options, max_seconds=None)),
            "rows": rows,
            "losses": [list(pair) for pair in self.losses],
            "best": self.best,
            "weights": self.weights,
            "averages": self.averages,
            "optimizer": self.optimizer,
            "generator": self.generator,
        }


class Run:
    """A flow that is being trained, its rows and optimizer, and ``state`` after the last epoch.

    ``state`` is replaced whole when an epoch is complete, so an interrupt in the middle of one
    leaves it as the last complete epoch did.
    """

    state: State

    def __init__(self, flow: RNVP, rows: Rows, options: TrainingOptions) -> None:
        self.flow, self.options = flow, options
        self.fingerprint = rows.fingerprint()
        self.generator = torch.Generator().manual_seed(options.seed)
        self.train, self.held = hold_out(flow, rows, options.held_out, self.generator)
        self.parameters = [p for p in flow.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=options.learning_rate, fused=True)
        self.batch = options.batch_for(len(self.train))
        self.batches = max(len(self.train) // self.batch, 1)
        self.epochs = options.epochs_for(self.batches)
        self.patience = options.patience_for(self.epochs)

    @property
    def tired(self) -> bool:
        """Whether patience is at an end."""
        return self.state.epoch - self.state.best >= self.patience

    def begin(self) -> None:
        """Start from the flow as it is, with what is set from data set."""
        self.flow.initialise(self.train.x, self.train.context)
        self.averages = _copies(self.parameters)
        self.state = self._state((), 0, self._weights())

    def restore(self, record: Mapping[str, Any]) -> None:
        """Start from ``record``, whose best weights the flow holds.

        Raises:
            TrainingError: it is of other rows, or there is nothing left to do.
        """
        if record["rows"] != self.fingerprint:
            raise TrainingError("these are not the rows of the training that is to be resumed")
        done, since = len(record["losses"]), len(record["losses"]) - record["best"]
        if done >= self.epochs or since >= self.patience:
            raise TrainingError(
                f"this training is finished: {done} of {self.epochs} epochs, the last {since} "
                "without a better score. To go on, ask for more epochs or more patience"
            )
        best_weights = self._weights()
        self.flow.load_state_dict(record["weights"])
        self.averages = _copies(record["averages"])
        self.optimizer.load_state_dict(record["optimizer"])
        self.generator.set_state(record["generator"])
        losses = tuple((train, held) for train, held in record["losses"])
        self.state = self._state(losses, record["best"], best_weights)

    def epoch(self) -> Epoch:
        """Train through the rows once, score the held-out ones, and keep the new state."""
        train = self._pass()
        held, averaged = self._score()
        losses = (*self.state.losses, (train, held))
        better = held < self.state.least
        if better:
            self.state = self._state(losses, len(losses), averaged)
        else:
            self.state = self._state(losses, self.state.best, self.state.best_weights)
        return Epoch(len(losses), self.epochs, train, held, better)

    def _pass(self) -> float:
        self.flow.train()
        order = torch.randperm(len(self.train), generator=self.generator)
        size, total = self.batch, 0.0
        for i in range(self.batches):
            rows = self.train.take(order[i * size : (i + 1) * size])
            loss = -self.flow.log_prob(rows.x, rows.context).mean()
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            length = torch.nn.utils.clip_grad_norm_(self.parameters, self.options.clip)
            if torch.isfinite(length):  # a wild batch is left out, not learnt from
                self._step(self.state.epoch * self.batches + i)
            total += loss.item()
        return total / self.batches

    @torch.no_grad()
    def _step(self, batch: int) -> None:
        planned = self.epochs * self.batches
        rise = min((batch + 1) / min(self.options.warmup + 1, planned), 1.0)
        fall = 0.5 * (1.0 + math.cos(math.pi * batch / planned))
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * rise * fall
        self.optimizer.step()
        # A young average forgets faster, or it would remember the weights nothing was learnt in.
        decay = min(self.options.average, (1 + batch) / (10 + batch))
        torch._foreach_lerp_(self.averages, [p.data for p in self.parameters], 1.0 - decay)

    @torch.no_grad()
    def _score(self) -> tuple[float, dict[str, Tensor]]:
        """The held-out loss of the averaged weights, and those weights."""
        self.flow.eval()
        current = _copies(self.parameters)
        torch._foreach_copy_([p.data for p in self.parameters], self.averages)
        total = 0.0
        for start in range(0, len(self.held), _SCORED):
            rows = self.held.take(torch.arange(start, min(start + _SCORED, len(self.held))))
            total -= float(self.flow.log_prob(rows.x, rows.context).double().sum())
        averaged = self._weights()
        torch._foreach_copy_([p.data for p in self.parameters], current)
        return total / len(self.held), averaged

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.flow.state_dict().items()}

    def _state(
        self, losses: tuple[tuple[float, float], ...], best: int, best_weights: dict[str, Tensor]
    ) -> State:
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {
            index: {name: value.clone() for name, value in moments.items()}
            for index, moments in optimizer["state"].items()
        }
        optimizer["param_groups"] = [dict(group) for group in optimizer["param_groups"]]
        return State(
            weights=self._weights(),
            averages=_copies(self.averages),
            optimizer=optimizer,
            generator=self.generator.get_state(),
            losses=losses,
            best=best,
            best_weights=best_weights,
        )


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]
