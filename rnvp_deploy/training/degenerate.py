"""Columns whose density a continuous flow cannot represent, found before training.

A column that is discrete, bounded, or a function of other columns has no density on R^d, or one
that jumps. Training then drives the log-density of the rows towards infinity without an error.
Each kind of such columns becomes a ``DataWarning`` that names them and says what to do.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rnvp_deploy.training.column_kinds import column_kind, most_frequent, smallest_step
from rnvp_deploy.training.column_relations import copies, linear_functions, one_hot_groups
from rnvp_deploy.training.data_warnings import DataWarning, say_columns

__all__ = ["find_degenerate", "float32_steps"]

Array = NDArray[np.float64]

_COARSE = 4096  # float32 steps in a standard deviation, below which a column is reported


def find_degenerate(
    x: Array,
    columns: Sequence[str],
    context: Array | None = None,
    context_columns: Sequence[str] = (),
    *,
    float32: bool = True,
    dequantised: Collection[str] = (),
) -> tuple[DataWarning, ...]:
    """Find the columns of ``x`` that a flow cannot represent well.

    Constant columns of ``x`` are not reported here; training refuses them.

    Args:
        x: (n, d) finite values.
        columns: The d names.
        context: (n, c) finite values. They may be of any kind, but a column of ``x`` must not be
            a function of them.
        context_columns: The c names.
        float32: Whether the flow is float32, which cannot resolve a small spread far from 0.
        dequantised: Columns to which training adds noise; their kind is not reported.
    """
    if not len(x):
        return ()
    c = 0 if context is None else context.shape[1]
    table = np.asfortranarray(x if context is None else np.concatenate([context, x], axis=1))
    names = (*context_columns, *columns)
    related, excluded = _relations(table, names, c)
    singles = [
        (names[i], table[:, i]) for i in range(c, table.shape[1]) if names[i] not in excluded
    ]
    singles = [(name, column) for name, column in singles if name not in dequantised]
    constant = [name for i, name in enumerate(context_columns) if np.ptp(table[:, i]) == 0]
    warnings = [*_too_few_rows(x), *_constant_conditions(constant), *related, *_kinds(singles)]
    if float32:
        warnings += _offsets(
            [(name, column) for name, column in zip(columns, table.T[c:], strict=True)]
        )
    return tuple(warnings)


def float32_steps(column: Array) -> float:
    """How many steps of float32, at the largest value, fit into the standard deviation."""
    return float(column.std() / np.spacing(np.float32(np.abs(column).max())))


def _too_few_rows(x: Array) -> Iterator[DataWarning]:
    n, d = x.shape
    if n <= d:
        yield DataWarning(
            "few rows",
            (),
            f"{n:,} rows are not more than the {d:,} columns: the columns are linear functions of "
            "each other in these rows; use more rows or fewer columns",
        )


def _constant_conditions(names: Sequence[str]) -> Iterator[DataWarning]:
    if names:
        subject, verb, vary = ("condition", "is", "it varies")
        if len(names) > 1:
            subject, verb, vary = ("conditions", "are", "they vary")
        said = say_columns(names).partition(" ")[2]
        yield DataWarning(
            "constant",
            tuple(names),
            f"{subject} {said} {verb} constant in these rows: the flow learns nothing about other "
            f"values; use rows in which {vary}, or a flow without",
        )


def _relations(
    table: Array, names: Sequence[str], c: int
) -> tuple[list[DataWarning], frozenset[str]]:
    """Warnings about columns that are functions of others, and the names of copies and groups."""
    varying = [i for i in range(table.shape[1]) if table[:, i].min() < table[:, i].max()]
    pairs = [(i, original) for i, original in copies(table) if i in varying and i >= c]
    distinct = [i for i in varying if i not in dict(pairs)]
    groups = one_hot_groups(table, [i for i in distinct if i >= c])
    last = {group[-1] for group in groups}  # 1 − the others of its group: reported already
    functions = linear_functions(table, [i for i in distinct if i not in last])
    warnings = [
        *_copy([(names[i], names[original]) for i, original in pairs]),
        *(_one_hot(tuple(names[i] for i in group)) for group in groups),
        *_linear([(names[i], tuple(names[j] for j in of)) for i, of in functions if i >= c]),
    ]
    return warnings, frozenset(names[i] for i in (*dict(pairs), *(i for g in groups for i in g)))


def _copy(pairs: Sequence[tuple[str, str]]) -> Iterator[DataWarning]:
    """A warning about pairs (copy, original)."""
    if not pairs:
        return
    names = tuple(copy for copy, _ in pairs)
    if len(pairs) == 1:
        found = f"column {names[0]!r} is a copy of {pairs[0][1]!r}"
    else:
        found = f"{say_columns(names, [f'of {of!r}' for _, of in pairs])} are copies"
    originals = dict.fromkeys(original for _, original in pairs)
    yield DataWarning(
        "copy",
        (*originals, *names),
        f"{found}: the density is infinite; leave out",
        "--exclude",
        names,
    )


def _one_hot(members: tuple[str, ...]) -> DataWarning:
    return DataWarning(
        "one-hot",
        members,
        f"{say_columns(members)} are a one-hot group (in each row exactly one is 1): the density "
        "is infinite; condition on them (--context), or leave out",
        "--exclude",
        members,
    )


def _linear(functions: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[DataWarning]:
    """A warning about pairs (column, the columns that it is a linear function of)."""
    if not functions:
        return
    names = tuple(name for name, _ in functions)
    if len(functions) == 1:
        found = f"column {names[0]!r} is a linear function of {say_columns(functions[0][1])}"
    else:
        found = f"{say_columns(names)} are linear functions of other columns"
    others = dict.fromkeys(other for _, of in functions for other in of)
    yield DataWarning(
        "linear",
        (*others, *names),
        f"{found}: the density is infinite; leave out",
        "--exclude",
        names,
    )


def _kinds(columns: Sequence[tuple[str, Array]]) -> Iterator[DataWarning]:
    """One warning for each degenerate kind of single columns."""
    found: dict[str, dict[str, Array]] = {}
    for name, column in columns:
        kind: str = column_kind(column)
        if kind == "binary":
            kind = "integer" if bool((column == np.rint(column)).all()) else "few values"
        found.setdefault(kind, {})[name] = column
    for kind, describe in _DESCRIPTIONS.items():
        if kind in found:
            yield describe(found[kind])


def _integer(columns: dict[str, Array]) -> DataWarning:
    names = tuple(columns)
    return DataWarning(
        "integer",
        names,
        f"{_subject(names)} integers only: the log-density grows without limit at "
        "them; dequantise (--integer), or condition on them (--context)",
        "--integer",
        names,
    )


def _few_values(columns: dict[str, Array]) -> DataWarning:
    names = tuple(columns)
    details = [f"steps of {smallest_step(column):.3g}" for column in columns.values()]
    return DataWarning(
        "few values",
        names,
        f"{_subject(names, details)} few different values: the log-density grows "
        "without limit at them; add uniform noise one step wide, or leave out",
    )


def _repeated_value(columns: dict[str, Array]) -> DataWarning:
    names = tuple(columns)
    details = []
    for column in columns.values():
        value, share = most_frequent(column)
        details.append(f"{value:g} in {share:.0%} of the rows")
    return DataWarning(
        "repeated value",
        names,
        f"{_subject(names, details)} one value very often: the density is infinite "
        "there; remove those rows, or leave out",
    )


def _unit_interval(columns: dict[str, Array]) -> DataWarning:
    names = tuple(columns)
    at_ends = tuple(n for n, column in columns.items() if column.min() == 0 or column.max() == 1)
    moved = (
        f"; move the values at exactly 0 or 1 in {say_columns(at_ends)} inside first"
        if at_ends
        else ""
    )
    return DataWarning(
        "unit interval",
        names,
        f"{_subject(names)} values in [0, 1] up to the ends: the flow gives mass to "
        f"values outside; take the logit (--logit){moved}",
        *_option("--logit", [name for name in names if name not in at_ends]),
    )


def _positive(columns: dict[str, Array]) -> DataWarning:
    names = tuple(columns)
    at_zero = tuple(name for name, column in columns.items() if column.min() == 0)
    moved = (
        f"; move the values at exactly 0 in {say_columns(at_zero)} above it first"
        if at_zero
        else ""
    )
    return DataWarning(
        "positive",
        names,
        f"{_subject(names)} no value below 0 and many near it: the flow gives mass to "
        f"negative values; take the logarithm (--log){moved}",
        *_option("--log", [name for name in names if name not in at_zero]),
    )


def _option(option: str, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The option and its columns. Those with a value at a bound must be changed before."""
    return (option, tuple(names)) if names else ("", ())


def _heavy_tail(columns: dict[str, Array]) -> DataWarning:
    names = tuple(columns)
    positive = tuple(name for name, column in columns.items() if column.min() > 0)
    return DataWarning(
        "heavy tail",
        names,
        f"{_subject(names)} values very far from the others (heavy tails): training "
        "may diverge; transform them, or remove the extreme rows",
        *_option("--log", positive),
    )


_DESCRIPTIONS: dict[str, Callable[[dict[str, Array]], DataWarning]] = {
    "integer": _integer,
    "few values": _few_values,
    "repeated value": _repeated_value,
    "unit interval": _unit_interval,
    "positive": _positive,
    "heavy tail": _heavy_tail,
}


def _offsets(columns: Sequence[tuple[str, Array]]) -> Iterator[DataWarning]:
    """A warning about columns so far from 0 that float32 is coarse for their spread."""
    coarse = {
        name: steps for name, column in columns if 0 < (steps := float32_steps(column)) < _COARSE
    }
    if coarse:
        names = tuple(coarse)
        details = [f"{steps:.0f} steps" for steps in coarse.values()]
        yield DataWarning(
            "offset",
            names,
            f"{_subject(names, details)} values far from 0 for their spread: float32 "
            "has few steps in a standard deviation; train in float64 (--dtype float64), or "
            "subtract an offset first",
            "--dtype float64",
        )


def _subject(names: Sequence[str], details: Sequence[str] = ()) -> str:
    return f"{say_columns(names, details)} {'holds' if len(names) == 1 else 'hold'}"
