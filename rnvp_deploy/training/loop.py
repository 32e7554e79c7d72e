"""The training loop, one epoch at a time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.training.options import TrainingOptions
from rnvp_deploy.training.rows import Rows, split_rows
from rnvp_deploy.training.state import Epoch, TrainingState

__all__ = ["TrainingLoop"]

_SCORED_ROWS = 16_384  # rows scored at once, which bounds the memory for activations


class TrainingLoop:
    """A flow in training, with its rows, its optimizer, and its ``state`` after the last epoch.

    ``state`` is replaced as a whole when an epoch is complete. An interrupt during an epoch
    therefore leaves the state of the last completed one.
    """

    state: TrainingState

    def __init__(self, flow: RNVP, rows: Rows, options: TrainingOptions) -> None:
        self.flow, self.options = flow, options
        self.fingerprint = rows.fingerprint()
        self._generator = torch.Generator().manual_seed(options.seed)
        self.train_rows, self.held_out_rows = split_rows(rows, options.held_out, self._generator)
        self._maps = flow.elementwise
        self._parameters = [p for p in flow.parameters() if p.requires_grad]
        self._optimizer = torch.optim.Adam(self._parameters, lr=options.learning_rate, fused=True)
        self._batch_size = options.batch_size_for(len(self.train_rows))
        self.batches = max(len(self.train_rows) // self._batch_size, 1)
        self.planned_epochs = options.epochs_for(self.batches)
        self._patience = options.patience_for(self.planned_epochs)

    @property
    def patience_exhausted(self) -> bool:
        """Whether the held-out loss has not improved in the last ``patience`` epochs."""
        return self.state.completed - self.state.best >= self._patience

    def start(self, *, initialise: bool) -> None:
        """Start from the flow's present weights.

        Args:
            initialise: Set the layers that are set from data, such as the standardisation.
        """
        if initialise:
            self.flow.initialise(self.train_rows.x, self.train_rows.context)
        self._averages = _clones(self._parameters)
        self.state = self._new_state((), (), 0, self._state_dict())

    def restore(self, record: Mapping[str, Any]) -> None:
        """Continue from ``record``. The flow must hold the best weights of that training.

        Raises:
            TrainingError: The record is of other rows, or the training is complete.
        """
        if record["rows"] != self.fingerprint:
            raise TrainingError("these are not the rows of the training that is to be resumed")
        completed = len(record["losses"])
        since_best = completed - record["best"]
        wanted = []
        if completed >= self.planned_epochs:
            wanted.append(f"more than {completed} epochs, and not {self.planned_epochs}")
        if since_best >= self._patience:
            wanted.append(f"a patience of more than {since_best}, and not {self._patience}")
        if wanted:
            raise TrainingError(
                f"this training is complete: it has {completed} epochs, the last {since_best} "
                f"without a better score. To continue, ask for {'; and for '.join(wanted)}"
            )
        best_weights = self._state_dict()
        self.flow.load_state_dict(record["weights"])
        self._averages = _clones(record["averages"])
        self._optimizer.load_state_dict(record["optimizer"])
        self._generator.set_state(record["generator"])
        losses = tuple((train, held_out) for train, held_out in record["losses"])
        skipped = tuple(record.get("skipped", [0] * completed))
        self.state = self._new_state(losses, skipped, record["best"], best_weights)

    def run_epoch(self) -> Epoch:
        """Train on every training row once, score the held-out rows, and replace the state."""
        before = self.state
        train, skipped = self._train_epoch()
        held_out, averaged = self._score_held_out()
        best, best_weights = before.best, before.best_weights
        losses, all_skipped = (*before.losses, (train, held_out)), (*before.skipped, skipped)
        number = len(losses)
        epoch = Epoch(number, self.planned_epochs, train, held_out, False, self.batches, skipped)
        if held_out < before.best_loss and not epoch.diverged:
            epoch, best, best_weights = replace(epoch, best=True), number, averaged
        self.state = self._new_state(losses, all_skipped, best, best_weights)
        return epoch

    def _train_epoch(self) -> tuple[float, int]:
        """One step for each batch; returns (their mean loss, the number of skipped batches)."""
        self.flow.train()
        order = torch.randperm(len(self.train_rows), generator=self._generator)
        size, total, skipped = self._batch_size, 0.0, 0
        for i in range(self.batches):
            batch = self.train_rows.take(order[i * size : (i + 1) * size])
            loss = -self.flow.log_prob(self._dequantised(batch.x), batch.context).mean()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.options.clip)
            if math.isfinite(loss.item()) and torch.isfinite(norm):
                self._step(self.state.completed * self.batches + i)
                total += loss.item()
            else:  # a step along a gradient that is not finite would destroy all weights
                skipped += 1
        kept = self.batches - skipped
        return (total / kept if kept else math.nan), skipped

    def _dequantised(self, x: Tensor) -> Tensor:
        """x (n, d) with new uniform noise in the integer columns."""
        if self._maps is None or not self._maps.rounds:
            return x
        return x + self._maps.noise(len(x), self._generator)

    @torch.no_grad()
    def _step(self, step: int) -> None:
        """One step of Adam, number ``step`` from 0, at its scheduled learning rate."""
        planned = self.planned_epochs * self.batches
        warmup = min((step + 1) / min(self.options.warmup + 1, planned), 1.0)
        cosine = 0.5 * (1.0 + math.cos(math.pi * step / planned))
        for group in self._optimizer.param_groups:
            group["lr"] = self.options.learning_rate * warmup * cosine
        self._optimizer.step()
        # EMA warm-up: forget the initial weights quickly.
        decay = min(self.options.average, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, [p.data for p in self._parameters], 1.0 - decay)

    @torch.no_grad()
    def _score_held_out(self) -> tuple[float, dict[str, Tensor]]:
        """The held-out loss of the averaged weights, and the state dict with those weights."""
        trained = _clones(self._parameters)
        torch._foreach_copy_([p.data for p in self._parameters], self._averages)
        loss = -float(self.held_out_log_prob().mean())
        averaged = self._state_dict()
        torch._foreach_copy_([p.data for p in self._parameters], trained)
        return loss, averaged

    @torch.no_grad()
    def held_out_log_prob(self) -> Tensor:
        """log_prob of the held-out rows under the present weights: (n,) float64, nats."""
        self.flow.eval()
        parts, count = [], len(self.held_out_rows)
        for start in range(0, count, _SCORED_ROWS):
            part = self.held_out_rows.take(torch.arange(start, min(start + _SCORED_ROWS, count)))
            parts.append(self.flow.log_prob(part.x, part.context).double().cpu())
        return torch.cat(parts)

    def _state_dict(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.flow.state_dict().items()}

    def _new_state(
        self,
        losses: tuple[tuple[float, float], ...],
        skipped: tuple[int, ...],
        best: int,
        best_weights: dict[str, Tensor],
    ) -> TrainingState:
        optimizer = self._optimizer.state_dict()
        optimizer["state"] = {
            index: {name: value.clone() for name, value in moments.items()}
            for index, moments in optimizer["state"].items()
        }
        optimizer["param_groups"] = [dict(group) for group in optimizer["param_groups"]]
        return TrainingState(
            weights=self._state_dict(),
            averages=_clones(self._averages),
            optimizer=optimizer,
            generator=self._generator.get_state(),
            losses=losses,
            skipped=skipped,
            best=best,
            best_weights=best_weights,
        )


def _clones(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]
