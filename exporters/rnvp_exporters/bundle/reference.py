"""The reference rows of a flow: held-out rows of its training, or its own samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_deploy.training import TrainingSummary, read_summary
from rnvp_deploy.training.summary import COLUMN_LEVELS, LOG_PROB_LEVELS, ColumnSummary
from rnvp_runtime.bundle.manifest import ColumnReference, Reference

__all__ = ["reference"]

SAMPLES, SEED = 1 << 16, 20170516
LOW, MEDIAN, HIGH = 0.001, 0.5, 0.999


def reference(flow: RNVP, training: Mapping[str, Any]) -> Reference | None:
    """The reference rows of ``flow``, in a few numbers.

    Args:
        flow: in eval mode.
        training: the record that its checkpoint holds; empty for a flow in memory.

    Returns:
        The held-out rows if the record has a summary of them, else samples of the flow. None for a
        conditional flow without a summary: the conditions at which it will be used are not known.
    """
    summary = read_summary(training)
    if summary is not None and np.isfinite(summary.log_prob_quantiles).all():
        return _of_training(summary)
    return None if flow.context_dim else _of_samples(flow)


def _of_training(summary: TrainingSummary) -> Reference:
    return Reference(
        "held-out rows",
        summary.held_out_rows,
        LOG_PROB_LEVELS,
        summary.log_prob_quantiles,
        _of_columns(summary.columns),
        _of_columns(summary.context_columns),
    )


def _of_columns(summaries: Sequence[ColumnSummary]) -> tuple[ColumnReference, ...]:
    at = [COLUMN_LEVELS.index(level) for level in (LOW, MEDIAN, HIGH)]
    return tuple(
        _column([column.quantiles[i] for i in at], column.deviation) for column in summaries
    )


@torch.no_grad()
def _of_samples(flow: RNVP) -> Reference | None:
    x = flow.sample(SAMPLES, seed=SEED)
    log_prob = flow.log_prob(x).double().numpy()
    columns = x.double().numpy().T
    usable = np.isfinite(log_prob) & np.isfinite(columns).all(0)
    if not usable.any():
        return None
    log_prob, columns = log_prob[usable], columns[:, usable]
    return Reference(
        "samples",
        len(log_prob),
        LOG_PROB_LEVELS,
        _quantiles(log_prob, LOG_PROB_LEVELS),
        tuple(
            _column(_quantiles(column, (LOW, MEDIAN, HIGH)), float(column.std()))
            for column in columns
        ),
    )


def _column(quantiles: Sequence[float], deviation: float) -> ColumnReference:
    low, median, high = quantiles
    return ColumnReference(low, median, high, deviation)


def _quantiles(values: NDArray[np.float64], levels: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.quantile(values, levels, method="inverted_cdf").tolist())
