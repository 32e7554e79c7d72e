"""The rows of a training: read, checked, and split into training rows and held-out rows."""

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
from rnvp_runtime.tables import rows_with_gaps, say_rows

__all__ = ["Rows", "read_rows", "refuse_gaps", "split_rows"]

_FLOAT32_STEPS = 64  # a column's standard deviation must be at least this many float32 steps


@dataclass(frozen=True)
class Rows:
    """Rows in the flow's dtype and on its device.

    Attributes:
        x: (n, d).
        context: (n, c), or None for an unconditional flow.
    """

    x: Tensor
    context: Tensor | None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> "Rows":
        """The rows at the positions ``index``, in that order."""
        return Rows(self.x[index], None if self.context is None else self.context[index])

    def fingerprint(self) -> str:
        """SHA-256 of all numbers. A resumed training compares it with its record."""
        digest = hashlib.sha256()
        for part in (self.x, self.context):
            if part is not None:
                digest.update(f"{tuple(part.shape)} {part.dtype} ".encode())
                digest.update(part.cpu().contiguous().numpy().data)
        return digest.hexdigest()


def read_rows(flow: RNVP, x: Any, context: Any = None) -> Rows:
    """Read arrays, tensors, or data frames with the flow's column names.

    Args:
        flow: Gives the column names, the dtype and the device.
        x: (n, d), or a data frame with ``flow.columns``.
        context: (n, c), or a data frame with ``flow.context_columns``. Default: those columns of
            ``x``, if ``x`` is a data frame.

    Raises:
        InputError: The width is wrong, a column is missing, or a value is not a number.
        TrainingError: A value is NaN or infinite (row numbers start at 1); or the context has
            another length, is missing, or was given to an unconditional flow.
    """
    values = _matrix(flow, x, "x", flow.columns)
    if not flow.context_dim:
        if context is not None:
            raise TrainingError("a context was given, but the flow is unconditional")
        return Rows(values, None)
    if context is None:
        if not is_frame(x):
            raise TrainingError(f"this flow needs a context of {flow.context_dim} columns")
        context = x
    conditions = _matrix(flow, context, "context", flow.context_columns)
    if len(conditions) != len(values):
        raise TrainingError(f"x has {len(values)} rows, but the context has {len(conditions)}")
    return Rows(values, conditions)


def split_rows(
    flow: RNVP, rows: Rows, held_out: float, generator: torch.Generator
) -> tuple[Rows, Rows]:
    """Split ``rows`` at random into (training rows, held-out rows).

    Args:
        flow: Gives the column names for error messages.
        rows: All rows.
        held_out: The fraction of rows to hold out.
        generator: Draws the held-out rows.

    Raises:
        TrainingError: There are too few rows, or a column is constant.
    """
    held = int(len(rows) * held_out)
    if held < 1 or len(rows) - held < 2:
        needed = max(math.ceil(1 / held_out), 3)
        raise TrainingError(
            f"{len(rows)} rows are too few to hold any out: a held-out fraction of {held_out:g} "
            f"needs at least {needed}"
        )
    order = torch.randperm(len(rows), generator=generator)
    train = rows.take(order[held:])
    _refuse_constants(train.x, flow.columns)
    if train.context is not None:
        _refuse_constants(train.context, flow.context_columns)
    return train, rows.take(order[:held])


def refuse_gaps(values: NDArray[np.floating], where: str, columns: Sequence[str]) -> None:
    """Refuse NaN and infinities in ``values`` (n, k).

    Args:
        values: (n, k).
        where: The file or argument that the values came from, for the message.
        columns: The k column names, for the message.

    Raises:
        TrainingError: Names the columns and the first rows, counted from 1.
    """
    rows = rows_with_gaps(values)
    if rows:
        finite = np.isfinite(values).all(axis=0)
        names = [name for name, good in zip(columns, finite, strict=True) if not good]
        raise TrainingError(
            f"{where}: {say_rows(rows)} (in {_say_columns(names)}): correct or remove them"
        )


def _matrix(flow: RNVP, values: Any, name: str, columns: Sequence[str]) -> Tensor:
    rows = rows_of(values, name, columns, np.float64)
    wide = rows.run(0, len(rows))
    refuse_gaps(wide, name, columns)
    tensor = torch.tensor(wide).to(flow.dtype)
    # A number beyond float32's range becomes infinite in the cast.
    refuse_gaps(tensor.numpy(), f"{name} in {str(flow.dtype).removeprefix('torch.')}", columns)
    if flow.dtype == torch.float32:
        _refuse_lost_precision(wide, columns)
    return tensor.to(next(flow.parameters()).device)


def _refuse_lost_precision(values: NDArray[np.floating], columns: Sequence[str]) -> None:
    """Refuse a column so far from 0 that float32 cannot resolve its spread."""
    for name, column in zip(columns, values.T, strict=True):
        if not len(column):
            continue
        step = float(np.spacing(np.float32(np.abs(column).max())))
        if 0 < column.std() < _FLOAT32_STEPS * step:
            raise TrainingError(
                f"column {name!r} has mean {column.mean():.6g} and standard deviation "
                f"{column.std():.3g}, where float32 has steps of {step:.3g}: subtract an offset "
                "from it, or train a float64 flow (flow.double())"
            )


def _refuse_constants(values: Tensor, columns: Sequence[str]) -> None:
    constant = (values == values[0]).all(0).tolist()
    names = [name for name, is_constant in zip(columns, constant, strict=True) if is_constant]
    if names:
        verb = "is" if len(names) == 1 else "are"
        raise TrainingError(
            f"{_say_columns(names)} {verb} constant: the density would be infinite; leave out "
            f"{'it' if len(names) == 1 else 'them'}"
        )


def _say_columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"
