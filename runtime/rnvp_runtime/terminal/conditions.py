"""The conditions that ``rnvp-sample --context`` names, and whether the flow was trained on them.

    100,0.5                          the context columns in order
    energy=100,theta=0.5             by name, in any order
    energy=10:200:20,theta=0.5       a grid: 20 energies from 10 to 200, both included

Several grids give every combination; the last column of the flow changes fastest.
"""

import csv
import math
from collections.abc import Sequence
from itertools import product

import click
import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["example_of_conditions", "notes_on_range", "parse_condition", "parse_conditions"]

_MOST_POINTS = 1_000_000


def parse_conditions(text: str | None, manifest: Manifest) -> NDArray[np.float64] | None:
    """The conditions in ``text``: (points, c); None for an unconditional flow.

    Args:
        text: the value of --context; None if it was not given.
        manifest: of the flow.

    Raises:
        click.UsageError: they do not fit the flow.
    """
    names = manifest.context_columns
    if text is None:
        if not names:
            return None
        raise click.UsageError(
            f"--context is missing: the flow is conditional on {', '.join(names)}: "
            f"add --context {example_of_conditions(manifest)}, or --context-from TABLE"
        )
    if not names:
        raise _wrong("the flow takes none: leave it out")
    cells = [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True), [])]
    values = _by_name(cells, manifest) if "=" in text else cells
    if len(values) != len(names):
        raise _wrong(
            f"{text!r} has {len(values)} values, expected {len(names)}: "
            f"{example_of_conditions(manifest)}"
        )
    axes = [_axis(name, value, manifest.dtype) for name, value in zip(names, values, strict=True)]
    if math.prod(map(len, axes)) > _MOST_POINTS:
        raise _wrong(f"{text!r} is a grid of more than {_MOST_POINTS:,} points")
    return np.array(list(product(*axes)))


def parse_condition(text: str | None, manifest: Manifest) -> list[list[float]] | None:
    """The one condition in ``text``, as a list of one row of c; None for an unconditional flow.

    Raises:
        click.BadParameter: as `parse_conditions`, or there is a grid.
    """
    points = parse_conditions(text, manifest)
    if points is not None and len(points) > 1:
        raise _wrong("a grid is drawn into one file: leave out --shards and --cluster")
    return None if points is None else points.tolist()


def example_of_conditions(manifest: Manifest) -> str:
    """The trained median of each context column; 0 if the bundle does not contain it."""
    return _written(_medians(manifest))


def _medians(manifest: Manifest) -> dict[str, str]:
    reference = manifest.reference
    known = reference.context_columns if reference is not None else ()
    medians = [f"{column.median:.3g}" for column in known] or ["0"] * manifest.context_dim
    return dict(zip(manifest.context_columns, medians, strict=True))


def _written(values: dict[str, str]) -> str:
    """The values in the form that --context takes; a name with a comma is quoted as in CSV."""
    cells = [f"{name}={value}" for name, value in values.items()]
    return ",".join(f'"{cell}"' if "," in cell else cell for cell in cells)


def notes_on_range(manifest: Manifest, context: NDArray[np.floating]) -> dict[str, str]:
    """Column -> a sentence, for each context column with values outside the trained range.

    Args:
        manifest: of the flow.
        context: (n, c).
    """
    reference = manifest.reference
    if reference is None or not reference.context_columns or not len(context):
        return {}
    notes = {}
    for name, trained, values in zip(
        manifest.context_columns, reference.context_columns, context.T, strict=True
    ):
        outside = values[(values < trained.low) | (values > trained.high)]
        if outside.size:
            notes[name] = (
                f"{name} is {outside[0]:g}; in training 99.8 % of rows had {trained.low:.4g} … "
                f"{trained.high:.4g}, so the flow extrapolates"
            )
    return notes


def _by_name(cells: Sequence[str], manifest: Manifest) -> list[str]:
    names, found = manifest.context_columns, dict[str, str]()
    for cell in cells:
        name, equals, value = cell.rpartition("=")
        name = name.strip()
        if not equals:
            raise _wrong(f"{cell!r} has no name: write all as {example_of_conditions(manifest)}")
        if name not in names:
            raise _wrong(f"{name!r} is no context column: the flow has {', '.join(names)}")
        if name in found:
            raise _wrong(f"{name} is given twice")
        found[name] = value.strip()
    if missing := [name for name in names if name not in found]:
        medians = _medians(manifest)
        advice = _written({name: medians[name] for name in missing})
        raise _wrong(f"it lacks {', '.join(missing)}: add {advice}")
    return [found[name] for name in names]


def _axis(name: str, text: str, dtype: str) -> NDArray[np.float64]:
    """The values of one column: one number, or those of a grid START:STOP:COUNT."""
    start, *rest = text.split(":")
    if not rest:
        return np.array([_number(name, text, dtype)])
    if len(rest) != 2 or not rest[1].strip().isdecimal() or int(rest[1]) < 1:
        raise _wrong(f"{name}: {text!r} is not a grid: write START:STOP:COUNT, such as 10:200:20")
    if int(rest[1]) > _MOST_POINTS:
        raise _wrong(f"{name}: {text!r} is a grid of more than {_MOST_POINTS:,} points")
    return np.linspace(_number(name, start, dtype), _number(name, rest[0], dtype), int(rest[1]))


def _number(name: str, text: str, dtype: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _wrong(f"{name}: {text!r} is not a number") from None
    if not abs(number) <= float(np.finfo(dtype).max):
        raise _wrong(f"{name}: {text!r} is not a finite number in {dtype}, the flow's dtype")
    return number


def _wrong(said: str) -> click.BadParameter:
    return click.BadParameter(said, param_hint="--context")
