"""Rows to learn from: read, checked, and some of them held out."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.flow import RNVP
from rnvp_runtime.inputs import is_frame, rows_of

__all__ = ["Rows", "hold_out", "read_rows", "refuse_gaps"]

_SHOWN = 10  # row numbers named in a message
_STEPS = 64  # of float32, that a column's standard deviation must span


@dataclass(frozen=True)
class Rows:
    """x (n, d) and, if the flow takes one, context (n, c), in the flow's dtype."""

    x: Tensor
    context: Tensor | None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> "Rows":
        """The rows at ``index``, in its order."""
        return Rows(self.x[index], None if self.context is None else self.context[index])

    def fingerprint(self) -> str:
        """A hash of every number, by which a resumed training knows its rows again."""
        digest = hashlib.sha256()
        for part in (self.x, self.context):
            if part is not None:
                digest.update(f"{tuple(part.shape)} {part.dtype} ".encode())
                digest.update(part.cpu().contiguous().numpy().data)
        return digest.hexdigest()


def read_rows(flow: RNVP, x: Any, context: Any = None) -> Rows:
    """The rows that a caller gave: arrays, tensors, or data frames by the flow's column names.

    With ``x`` a data frame and no ``context``, the context's columns are looked for in ``x``.

    Raises:
        InputError: another width, a column missing, or something that is not a number.
        TrainingError: NaN or infinities (the rows are named, counted from 1), or a context of
            another length or for a flow that takes none.
    """
    values = _matrix(flow, x, "x", flow.columns)
    if not flow.context_dim:
        if context is not None:
            raise TrainingError("a context was given to a flow that takes none")
        return Rows(values, None)
    if context is None:
        if not is_frame(x):
            raise TrainingError(f"this flow needs a context of {flow.context_dim} columns")
        context = x
    conditions = _matrix(flow, context, "context", flow.context_columns)
    if len(conditions) != len(values):
        raise TrainingError(f"x has {len(values)} rows and the context {len(conditions)}")
    return Rows(values, conditions)


def hold_out(
    flow: RNVP, rows: Rows, fraction: float, generator: torch.Generator
) -> tuple[Rows, Rows]:
    """(rows to train on, rows held out), drawn by ``generator``.

    Raises:
        TrainingError: there are too few rows, or a column that never changes.
    """
    held = int(len(rows) * fraction)
    if held < 1 or len(rows) - held < 2:
        least = max(math.ceil(1 / fraction), 3)
        raise TrainingError(
            f"{len(rows)} rows are too few to hold any out: a held-out fraction of {fraction:g} "
            f"needs at least {least}"
        )
    order = torch.randperm(len(rows), generator=generator)
    train = rows.take(order[held:])
    _refuse_constants(train.x, flow.columns)
    if train.context is not None:
        _refuse_constants(train.context, flow.context_columns)
    return train, rows.take(order[:held])


def refuse_gaps(values: NDArray[np.floating], where: str, columns: Sequence[str]) -> None:
    """TrainingError if ``values`` (n, k) hold NaN or an infinity, with columns and rows named."""
    for bad, what in ((np.isnan(values), "no number"), (np.isinf(values), "an infinity")):
        rows = np.flatnonzero(bad.any(axis=1)) + 1
        if not len(rows):
            continue
        names = [name for name, any_bad in zip(columns, bad.any(axis=0), strict=True) if any_bad]
        more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        raise TrainingError(
            f"{where} holds {what} in {_columns(names)}, row{'s' if len(rows) > 1 else ''} "
            f"{', '.join(str(row) for row in rows[:_SHOWN])}{more} (the first is row 1): mend or "
            "drop them"
        )


def _matrix(flow: RNVP, values: Any, name: str, columns: Sequence[str]) -> Tensor:
    rows = rows_of(values, name, columns, np.float64)
    wide = rows.block(0, len(rows))
    refuse_gaps(wide, name, columns)
    tensor = torch.tensor(wide).to(flow.dtype)
    # Past float32's range is infinity.
    refuse_gaps(tensor.numpy(), f"{name} in {str(flow.dtype).removeprefix('torch.')}", columns)
    if flow.dtype == torch.float32:
        _refuse_coarse(wide, columns)
    return tensor.to(next(flow.parameters()).device)


def _refuse_coarse(values: NDArray[np.floating], columns: Sequence[str]) -> None:
    """TrainingError for a column far from 0, of whose spread float32 keeps less than six bits."""
    for name, column in zip(columns, values.T, strict=True):
        if not len(column):
            continue
        step = float(np.spacing(np.float32(np.abs(column).max())))
        if 0 < column.std() < _STEPS * step:
            raise TrainingError(
                f"column {name!r} lies around {column.mean():.6g} with a spread of "
                f"{column.std():.3g}, where float32 has steps of {step:.3g}: subtract an offset "
                "from it, or train a float64 flow (flow.double())"
            )


def _refuse_constants(values: Tensor, columns: Sequence[str]) -> None:
    still = (values == values[0]).all(0).tolist()
    names = [name for name, constant in zip(columns, still, strict=True) if constant]
    if names:
        raise TrainingError(
            f"{_columns(names)} never changes: its density would be infinite; leave it out"
        )


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"
