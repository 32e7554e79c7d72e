"""Columns that are a function of other columns: copies, one-hot groups, linear functions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rnvp_deploy.training.column_kinds import sampled_rows

__all__ = ["copies", "linear_functions", "one_hot_groups"]

Array = NDArray[np.float64]

_SAMPLED = 20_000  # rows used for correlations
_DEPENDENT = 1e-6  # residual share of the variance of a linear function
_RESIDUAL = 1e-3  # of a linear function: median residual / interquartile range
_NEGLIGIBLE = 1e-4  # coefficients on standardised columns


def copies(table: Array) -> list[tuple[int, int]]:
    """Pairs (copy, original) of columns of ``table`` (n, k) that are equal in every row."""
    first_with: dict[bytes, int] = {}
    pairs = []
    for index in range(table.shape[1]):
        content = np.ascontiguousarray(table[:, index] + 0.0).tobytes()  # −0 + 0 is 0
        original = first_with.setdefault(content, index)
        if original != index:
            pairs.append((index, original))
    return pairs


def one_hot_groups(table: Array, candidates: Sequence[int]) -> list[tuple[int, ...]]:
    """Groups of at least two columns of 0 and 1 of which every row has exactly one 1.

    A pair of them, a and 1 − a, is a group too. Columns are grouped in the order of the table,
    in which the columns of one encoded category stand together.

    Args:
        table: (n, k).
        candidates: The columns to look at.
    """
    binary = [i for i in candidates if np.isin(table[:, i], (0.0, 1.0)).all()]
    groups: list[tuple[int, ...]] = []
    while binary:
        group, total = [binary[0]], table[:, binary[0]].copy()
        for index in binary[1:]:
            if total.min() >= 1:
                break
            if (total + table[:, index]).max() <= 1:
                group.append(index)
                total += table[:, index]
        if total.min() >= 1 and len(group) > 1:
            groups.append(tuple(group))
            binary = [i for i in binary if i not in group]
        else:
            binary = binary[1:]
    return groups


def linear_functions(table: Array, candidates: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Columns that are a linear function, with an intercept, of earlier candidates.

    The correlation matrix is factorised (Cholesky, in the order of ``candidates``). A column is a
    linear function of those before it if they leave at most a millionth of its variance.

    Args:
        table: (n, k).
        candidates: The columns to look at; none of them constant.

    Returns:
        Pairs (column, the columns that it is a function of).
    """
    rows = sampled_rows(table[:, list(candidates)], _SAMPLED)
    if len(rows) <= len(candidates):  # fewer rows than unknowns: every column would be one
        return []
    deviation = rows.std(axis=0)
    kept = deviation > 0  # constant in the sampled rows
    index = np.asarray(candidates)[kept]
    standardised = (rows[:, kept] - rows[:, kept].mean(axis=0)) / deviation[kept]
    correlation = standardised.T @ standardised / len(rows)
    found: list[tuple[int, tuple[int, ...]]] = []
    independent: list[int] = []
    for j in range(len(index)):
        if correlation[j, j] > _DEPENDENT:
            independent.append(j)
            factor = correlation[:, j] / np.sqrt(correlation[j, j])
            correlation -= np.outer(factor, factor)  # what column j does not explain
        elif terms := _terms(standardised, j, independent):
            found.append((int(index[j]), tuple(int(index[i]) for i in terms)))
    return found


def _terms(standardised: Array, j: int, independent: Sequence[int]) -> list[int]:
    """The columns that column ``j`` is a linear function of; empty if it is not one.

    With heavy tails a few rows dominate the correlation, so the typical residual is checked too.
    """
    basis, target = standardised[:, independent], standardised[:, j]
    weights = np.linalg.lstsq(basis, target, rcond=None)[0]
    residual = target - basis @ weights
    residual -= np.median(residual)
    spread = float(np.subtract(*np.quantile(target, (0.75, 0.25)))) or 1.0
    if np.median(np.abs(residual)) > _RESIDUAL * spread:
        return []
    largest = np.abs(weights).max()
    return [i for i, w in zip(independent, weights, strict=True) if abs(w) > _NEGLIGIBLE * largest]
