"""The rows of a training as tensors, split into training rows and held-out rows."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnvp_deploy.errors import TrainingError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.training.data_warnings import say_columns
from rnvp_deploy.training.degenerate import float32_steps
from rnvp_deploy.training.table import Table, refuse_gaps

__all__ = ["Rows", "refuse_constants", "rows_of_table", "split_rows"]

_DEVIATIONS = {torch.float32: (1e-37, 1e37), torch.float64: (1e-150, 1e150)}
_IN_FLOAT64 = "train in float64 (--dtype float64, or flow.double() in Python)"
_FLOAT32_STEPS = 64  # a column's standard deviation must be at least this many float32 steps
_INTEGERS = {torch.float32: 2.0**19, torch.float64: 2.0**48}
"""Integers from here on have fewer than 16 numbers between them, so they are not dequantised."""


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


def rows_of_table(flow: RNVP, table: Table) -> Rows:
    """The rows of ``table`` in the flow's dtype and on its device.

    Raises:
        TrainingError: The dtype cannot hold the values: they become infinite, or the dtype
            cannot resolve the spread of a column. Or a value lies outside the domain of its
            column's map.
    """
    x = _tensor(flow, table.x, "x", table.columns)
    _refuse_outside(flow, x, table.columns)
    if table.context is None:
        return Rows(x, None)
    return Rows(x, _tensor(flow, table.context, "context", table.context_columns))


def split_rows(rows: Rows, held_out: float, generator: torch.Generator) -> tuple[Rows, Rows]:
    """Split ``rows`` at random into (training rows, held-out rows).

    Args:
        rows: All rows.
        held_out: The fraction of rows to hold out.
        generator: Draws the held-out rows.

    Raises:
        TrainingError: There are too few rows.
    """
    held = int(len(rows) * held_out)
    if held < 1:
        raise TrainingError(
            f"{len(rows)} rows are too few to hold any out: a held-out fraction of {held_out:g} "
            f"needs at least {_fewest_rows(held_out):,}"
        )
    if len(rows) - held < 2:
        raise TrainingError(
            f"{len(rows)} rows are too few: a held-out fraction of {held_out:g} leaves 1 to train "
            "on, expected at least 2: hold out fewer (--held-out), or use at least "
            f"{_fewest_rows(held_out):,} rows"
        )
    order = torch.randperm(len(rows), generator=generator)
    return rows.take(order[held:]), rows.take(order[:held])


def _fewest_rows(held_out: float) -> int:
    """The smallest number of rows of which at least 1 is held out and 2 are left."""
    about = int(min(max(1 / held_out, 1 / (1 - held_out)), 1e15))  # to rounding
    near = range(max(about - 1, 3), about + 4)
    return next(
        (n for n in near if int(n * held_out) >= 1 and n - int(n * held_out) >= 2), near[-1]
    )


def _tensor(flow: RNVP, values: NDArray[np.float64], name: str, columns: Sequence[str]) -> Tensor:
    tensor = torch.tensor(values, dtype=flow.dtype)
    # A number beyond float32's range becomes infinite in the cast.
    lost = ~np.isfinite(tensor.numpy()).all(0)
    wider = f"{_IN_FLOAT64}, or " if not _out_of_range(values[:, lost], torch.float64) else ""
    remedy = f"they are beyond its range: {wider}change the unit, or remove them"
    refuse_gaps(tensor.numpy(), f"{name} in {_said(flow.dtype)}", columns, remedy)
    _refuse_units(values, columns, flow.dtype)
    if flow.dtype == torch.float32:
        _refuse_lost_precision(values, columns)
    return tensor.to(next(flow.parameters()).device)


def _said(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _out_of_range(values: NDArray[np.float64], dtype: torch.dtype) -> dict[int, float]:
    """The columns whose standard deviation, or its inverse, ``dtype`` lacks; and the deviation."""
    low, high = _DEVIATIONS.get(dtype, (0.0, math.inf))
    found = {}
    for i, column in enumerate(values.T):
        largest = float(np.abs(column).max(initial=0.0))
        deviation = float((column / largest).std()) * largest if largest else 0.0
        if deviation and not low <= deviation <= high:  # a constant is judged elsewhere
            found[i] = deviation
    return found


def _refuse_units(values: NDArray[np.float64], columns: Sequence[str], dtype: torch.dtype) -> None:
    for i, deviation in _out_of_range(values, dtype).items():
        low, high = _DEVIATIONS[dtype]
        wider = "" if _out_of_range(values[:, [i]], torch.float64) else f", or {_IN_FLOAT64}"
        raise TrainingError(
            f"column {columns[i]!r} has standard deviation {deviation:.3g}, expected {low:g} to "
            f"{high:g} for a {_said(dtype)} flow: change its unit{wider}"
        )


def _refuse_lost_precision(values: NDArray[np.float64], columns: Sequence[str]) -> None:
    """Refuse a column so far from 0 that float32 cannot resolve its spread."""
    for name, column in zip(columns, values.T, strict=True):
        varies = len(column) and column.min() < column.max()
        if varies and (steps := float32_steps(column)) < _FLOAT32_STEPS:
            raise TrainingError(
                f"column {name!r} has mean {column.mean():.6g} and standard deviation "
                f"{column.std():.3g}, in which float32 has only {steps:.2g} steps: "
                f"{_IN_FLOAT64}, or subtract an offset from it"
            )


def _refuse_outside(flow: RNVP, x: Tensor, columns: Sequence[str]) -> None:
    """Refuse values that have no density: not positive, not inside (low, high), not integers."""
    if flow.elementwise is None:
        return
    outside = flow.elementwise.outside(x).T
    for name, column, values, bad in zip(
        columns, flow.elementwise.spec.columns, x.T, outside, strict=True
    ):
        if bad.any():
            first = int(bad.nonzero()[0])
            raise TrainingError(
                f"column {name!r} must hold {column.domain}, but {int(bad.sum()):,} of its "
                f"{len(values):,} values are not, the first in row {first + 1}: "
                f"{float(values[first]):g}. Correct or remove these rows, or learn the column "
                "without this map (--log, --logit, --integer)"
            )
        if column.integer and float(values.abs().max()) >= _INTEGERS.get(flow.dtype, math.inf):
            raise TrainingError(
                f"column {name!r} has integers up to {float(values.abs().max()):.6g}, between "
                f"which {_said(flow.dtype)} has too few numbers for noise: "
                f"{_IN_FLOAT64}, or without --integer"
            )


def refuse_constants(values: Tensor, columns: Sequence[str], *, fixed: bool = False) -> None:
    """Refuse columns of ``values`` (n, k) that are constant.

    Args:
        values: The rows that a flow is to learn.
        columns: The k names.
        fixed: Whether the flow is trained already, so that no column can be left out.

    Raises:
        TrainingError: Names the columns.
    """
    constant = (values == values[0]).all(0).tolist()
    names = [name for name, is_constant in zip(columns, constant, strict=True) if is_constant]
    if names:
        verb, remedy = "is", "leave it out"
        if len(names) > 1:
            verb, remedy = "are", "leave them out"
        if fixed:
            remedy = "train this flow on rows in which no column is constant"
        raise TrainingError(
            f"{say_columns(names)} {verb} constant: the density would be infinite; {remedy}"
        )
