"""Notes about a finished training: overfitting, an early end, skipped batches."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from rnvp_deploy.flow import RNVP
from rnvp_deploy.training.state import Epoch
from rnvp_deploy.transforms import Coupling

__all__ = ["training_notes"]

_SIGNIFICANT = 2.0  # standard errors of the mean held-out log_prob
_LEAST = 0.02  # nats a row; smaller differences are not reported
_LATE = 0.1  # the last share of the epochs
_FEWEST_COUPLINGS, _NARROWEST = 2, 8


def training_notes(
    flow: RNVP,
    epochs: Sequence[Epoch],
    log_prob: Tensor,
    gaussian: Tensor | None,
    start_loss: float | None,
) -> tuple[str, ...]:
    """One line for each thing that a user may want to change.

    Args:
        flow: The trained flow.
        epochs: All epochs.
        log_prob: (n,) of the held-out rows under the flow, nats.
        gaussian: The same under a Gaussian with a full covariance; None if it is singular.
        start_loss: Held-out loss of the flow before a warm start; None without one.
    """
    error = max(_SIGNIFICANT * _standard_error(log_prob), _LEAST)
    return (
        *_skipped(epochs),
        *_overfitting(flow, epochs, error),
        *_still_improving(epochs, error),
        *_worse_than_gaussian(log_prob, gaussian),
        *_worse_than_start(log_prob, start_loss),
    )


def _skipped(epochs: Sequence[Epoch]) -> Iterator[str]:
    skipped = sum(epoch.skipped for epoch in epochs)
    if skipped:
        share = 100 * skipped / sum(epoch.batches for epoch in epochs)
        yield (
            f"{skipped:,} batches ({share:.2g} % of all) had a loss or gradient that was not "
            "finite and were skipped: lower the learning rate, or use a bounded scale function"
        )


def _overfitting(flow: RNVP, epochs: Sequence[Epoch], error: float) -> Iterator[str]:
    """The held-out loss rose after its best epoch, and left the training loss behind."""
    best, last = [epoch for epoch in epochs if epoch.best][-1], epochs[-1]
    gap_growth = (last.held_out - best.held_out) + (best.train - last.train)
    if last.held_out > best.held_out and last.train < best.train and gap_growth > error:
        yield (
            f"overfits after epoch {best.number}: the held-out loss rose from "
            f"{best.held_out:.4g} to {last.held_out:.4g} nats a row while the training loss fell "
            f"from {best.train:.4g} to {last.train:.4g}; {_smaller(flow)}"
        )


def _smaller(flow: RNVP) -> str:
    """The options of a flow of half the size."""
    couplings = [module for module in flow.modules() if isinstance(module, Coupling)]
    options = []
    if couplings:
        first = next(iter(couplings[0].children()))
        linears = [module for module in first.modules() if isinstance(module, nn.Linear)]
        widths = [module.out_features for module in linears[:-1]]
        if widths and max(widths) > _NARROWEST:
            halved = (str(max(width // 2, _NARROWEST)) for width in widths)
            options.append(f"--hidden {','.join(halved)}")
    if len(couplings) > _FEWEST_COUPLINGS:
        options.append(f"--couplings {max(len(couplings) // 2, _FEWEST_COUPLINGS)}")
    return f"try {' '.join(options)}" if options else "train on more rows"


def _still_improving(epochs: Sequence[Epoch], error: float) -> Iterator[str]:
    last = epochs[-1]
    before = epochs[max(int((1 - _LATE) * len(epochs)), 1) - 1]
    if last.best and last.number == last.epochs and before.held_out - last.held_out > error:
        yield f"still improving at the last epoch: try --epochs {2 * last.epochs}"


def _worse_than_gaussian(log_prob: Tensor, gaussian: Tensor | None) -> Iterator[str]:
    if gaussian is None:
        return
    difference = gaussian - log_prob
    mean = float(difference.mean())
    if mean > max(_SIGNIFICANT * _standard_error(difference), _LEAST):
        yield (
            f"scores {mean:.4g} nats a row worse than a Gaussian with a full covariance: use "
            "more rows or a smaller flow, or train longer"
        )


def _worse_than_start(log_prob: Tensor, start_loss: float | None) -> Iterator[str]:
    if start_loss is not None and not -float(log_prob.mean()) < start_loss:
        yield (
            f"did not improve on the flow it started from, which scores {start_loss:.4g} nats a "
            "row on the same held-out rows: lower the learning rate"
        )


def _standard_error(values: Tensor) -> float:
    """The standard error of the mean of ``values`` (n,); 0 for a single value."""
    return float(torch.std(values, correction=0)) / math.sqrt(len(values))
