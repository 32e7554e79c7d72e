"""The summary of a training in its checkpoint, so that a report does not need the data.

The summary is part of the record that ``fit`` returns and ``save`` stores. It depends only on the
rows, the options and the weights, so that the same training gives the same checkpoint, byte for
byte. A date is therefore stored only if the environment variable ``SOURCE_DATE_EPOCH`` is set; the
modification time of the checkpoint is the date of the training otherwise.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.training.column_kinds import column_kind
from rnvp_deploy.training.result import Training
from rnvp_deploy.training.rows import Rows
from rnvp_deploy.training.table import Table

__all__ = [
    "COLUMN_LEVELS",
    "LOG_PROB_LEVELS",
    "ColumnSummaries",
    "ColumnSummary",
    "TrainingSummary",
    "held_out_sample",
    "read_summary",
    "summarise",
    "summarise_columns",
]

COLUMN_LEVELS = (
    *(0.001, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.99, 0.999),
)
"""Levels of the quantiles of a column."""

LOG_PROB_LEVELS = (
    *(0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3),
    *(round(0.01 * i, 2) for i in range(1, 100)),
    *(0.995, 0.998, 0.999, 1.0),
)
"""Levels of the quantiles of log_prob; dense in the lower tail, where anomalies are."""

_MOST_NUMBERS = 100_000  # in the stored sample of held-out rows


@dataclass(frozen=True)
class ColumnSummary:
    """One column of the table, over all rows.

    Attributes:
        name: Its name.
        kind: A ``ColumnKind``.
        minimum: Its smallest value.
        maximum: Its largest value.
        mean: Its mean.
        deviation: Its standard deviation.
        quantiles: At ``COLUMN_LEVELS``.
    """

    name: str
    kind: str
    minimum: float
    maximum: float
    mean: float
    deviation: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class TrainingSummary:
    """The facts about a training that a report needs. Losses are in nats a row.

    Attributes:
        rows: Number of training rows.
        held_out_rows: Number of held-out rows.
        columns: The columns that were learnt.
        context_columns: The columns that were conditioned on.
        data_sha256: Of all rows in the flow's dtype.
        table: ``{"name", "sha256"}`` of what was trained on; the digest only if it was one file.
        date: ISO 8601, UTC; None unless SOURCE_DATE_EPOCH was set.
        versions: Of rnvp-deploy, torch, numpy and python.
        train_curve: Training loss of each epoch.
        held_out_curve: Held-out loss of each epoch.
        best_epoch: Counted from 1.
        stopped: What ended the training.
        skipped_batches: Batches with a loss or gradient that was not finite.
        held_out_loss: Held-out loss of the weights that were kept.
        gaussian_loss: Held-out loss of a Gaussian with a full covariance; None if singular.
        log_prob_quantiles: Of the held-out rows, at ``LOG_PROB_LEVELS``.
        sample: Some held-out rows: (k, d), in the flow's dtype.
        sample_context: Their context: (k, c), or None.
        warnings: Messages about degenerate columns.
        notes: Messages about the training.
    """

    rows: int
    held_out_rows: int
    columns: tuple[ColumnSummary, ...]
    context_columns: tuple[ColumnSummary, ...]
    data_sha256: str
    table: Mapping[str, str] | None
    date: str | None
    versions: Mapping[str, str]
    train_curve: tuple[float, ...]
    held_out_curve: tuple[float, ...]
    best_epoch: int
    stopped: str
    skipped_batches: int
    held_out_loss: float
    gaussian_loss: float | None
    log_prob_quantiles: tuple[float, ...]
    sample: Tensor
    sample_context: Tensor | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As dicts, lists, numbers, strings and tensors, for a checkpoint."""
        content = {**asdict(self), "table": self.table and dict(self.table)}
        content["columns"] = [_plain_column(column) for column in self.columns]
        content["context_columns"] = [_plain_column(column) for column in self.context_columns]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in content.items()
        }


def read_summary(record: Mapping[str, Any]) -> TrainingSummary | None:
    """The summary in the record of a training, as ``read_training`` returns it.

    Returns:
        None for a converted flow, and for a checkpoint that an older version wrote.

    Raises:
        TrainingError: The summary is incomplete.
    """
    content = record.get("summary")
    if content is None:
        return None
    try:
        values: dict[str, Any] = {
            field.name: content[field.name] for field in fields(TrainingSummary)
        }
        for name in ("columns", "context_columns"):
            values[name] = [
                ColumnSummary(**{**column, "quantiles": tuple(column["quantiles"])})
                for column in values[name]
            ]
    except (KeyError, TypeError) as error:
        raise TrainingError(f"the summary of the training is damaged: {error}") from None
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return TrainingSummary(**{**values, **lists})


@dataclass(frozen=True)
class ColumnSummaries:
    """The summaries of all columns of a table."""

    columns: tuple[ColumnSummary, ...]
    context_columns: tuple[ColumnSummary, ...]


def summarise_columns(table: Table) -> ColumnSummaries:
    """The summary of each column of ``table``."""
    context = () if table.context is None else _summaries(table.context, table.context_columns)
    return ColumnSummaries(_summaries(table.x, table.columns), context)


def summarise(
    training: Training, columns: ColumnSummaries, log_prob: Tensor, sample: Rows
) -> TrainingSummary:
    """The summary of a training.

    Args:
        training: Its result.
        columns: The columns of its table.
        log_prob: (n,) of the held-out rows under the flow, nats.
        sample: The held-out rows to keep.
    """
    return TrainingSummary(
        rows=training.rows,
        held_out_rows=training.held_out_rows,
        columns=columns.columns,
        context_columns=columns.context_columns,
        data_sha256=training.record["rows"],
        table=None,
        date=_date(),
        versions=_versions(),
        train_curve=tuple(epoch.train for epoch in training.epochs),
        held_out_curve=tuple(epoch.held_out for epoch in training.epochs),
        best_epoch=training.best.number,
        stopped=training.stopped,
        skipped_batches=sum(epoch.skipped for epoch in training.epochs),
        held_out_loss=training.best.held_out,
        gaussian_loss=training.gaussian,
        log_prob_quantiles=_log_prob_quantiles(log_prob),
        sample=sample.x,
        sample_context=sample.context,
        warnings=tuple(warning.message for warning in training.warnings),
        notes=training.notes,
    )


def _summaries(values: NDArray[np.float64], names: Sequence[str]) -> tuple[ColumnSummary, ...]:
    return tuple(
        ColumnSummary(
            name,
            column_kind(column),
            float(column.min()),
            float(column.max()),
            float(column.mean()),
            float(column.std()),
            tuple(np.quantile(column, COLUMN_LEVELS).tolist()),
        )
        for name, column in zip(names, np.asfortranarray(values).T, strict=True)
    )


def _log_prob_quantiles(log_prob: Tensor) -> tuple[float, ...]:
    """Quantiles of ``log_prob`` (n,) at ``LOG_PROB_LEVELS``; each is one of its values."""
    values = log_prob.double().numpy()
    return tuple(np.quantile(values, LOG_PROB_LEVELS, method="inverted_cdf").tolist())


def held_out_sample(held_out: Rows, most: int) -> Rows:
    """At most ``most`` of the held-out rows, which are in random order already."""
    width = held_out.x.shape[1] + (0 if held_out.context is None else held_out.context.shape[1])
    rows = held_out.take(torch.arange(min(most, len(held_out), max(_MOST_NUMBERS // width, 1))))
    return Rows(rows.x.cpu(), None if rows.context is None else rows.context.cpu())


def _date() -> str | None:
    """The date in SOURCE_DATE_EPOCH, in ISO 8601; None if it is not set."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(seconds), UTC).isoformat() if seconds.isdecimal() else None


def _versions() -> dict[str, str]:
    """Versions of the software that trains."""
    try:
        own = version("rnvp-deploy")
    except PackageNotFoundError:  # run from a source tree that is not installed
        own = "unknown"
    return {
        "rnvp-deploy": own,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _plain_column(column: ColumnSummary) -> dict[str, Any]:
    return {**asdict(column), "quantiles": list(column.quantiles)}
