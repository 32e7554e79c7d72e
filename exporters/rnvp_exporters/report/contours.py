"""Contours of a density on a grid, as polylines: marching squares.

The cells of the grid are numbered like pixels. A contour is a list of (x, y) points, each between
two neighbours of the grid, in units of grid points. Contours are closed: outside the grid the
density counts as lower than every level.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "contours", "level_of_mass", "smoothed_density"]

Grid = NDArray[np.float64]
"""A density at the points of a grid: (rows, columns), the first row is the lowest."""

# Corners of a cell: 1 lower left, 2 lower right, 4 upper right, 8 upper left. Edges: 0 bottom,
# 1 right, 2 top, 3 left. Which corners are inside -> the edges that the contour connects. The two
# saddles are resolved as two separate corners.
_EDGES = {
    1: ((3, 0),),
    2: ((0, 1),),
    3: ((3, 1),),
    4: ((1, 2),),
    5: ((3, 0), (1, 2)),
    6: ((0, 2),),
    7: ((3, 2),),
    8: ((2, 3),),
    9: ((2, 0),),
    10: ((0, 1), (2, 3)),
    11: ((2, 1),),
    12: ((1, 3),),
    13: ((1, 0),),
    14: ((0, 3),),
}
_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))  # (row, column) of corners 1, 2, 4, 8


def contours(grid: Grid, level: float) -> list[NDArray[np.float64]]:
    """Closed polylines around the region with ``grid > level``: each (k, 2), columns x and y."""
    low = min(float(grid.min()), level) - 1.0
    padded = np.pad(grid, 1, constant_values=low)
    inside = padded > level
    codes = np.zeros((inside.shape[0] - 1, inside.shape[1] - 1), int)
    for bit, (r, c) in enumerate(_CORNERS):
        codes |= inside[r : len(codes) + r, c : codes.shape[1] + c].astype(int) << bit
    following: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}
    for row, column in np.argwhere((codes > 0) & (codes < 15)).tolist():
        for start, end in _EDGES[int(codes[row, column])]:
            one, other = _edge(row, column, start), _edge(row, column, end)
            following.setdefault(one, []).append(other)
            following.setdefault(other, []).append(one)
    return [
        np.array([_crossing(padded, level, edge) for edge in loop]) - 1.0
        for loop in _loops(following)
    ]


def _edge(row: int, column: int, side: int) -> tuple[int, int, int]:
    """An edge of a cell by its lower or left end: (row, column, 0 horizontal or 1 vertical)."""
    return ((row, column, 0), (row, column + 1, 1), (row + 1, column, 0), (row, column, 1))[side]


def _crossing(grid: Grid, level: float, edge: tuple[int, int, int]) -> tuple[float, float]:
    row, column, vertical = edge
    one = grid[row, column]
    other = grid[row + vertical, column + 1 - vertical]
    share = float((level - one) / (other - one))
    return (column, row + share) if vertical else (column + share, row)


def _loops(
    following: dict[tuple[int, int, int], list[tuple[int, int, int]]],
) -> list[list[tuple[int, int, int]]]:
    loops = []
    while following:
        start = at = next(iter(following))
        loop = [start]
        while True:
            after = following[at].pop()
            following[after].remove(at)
            for edge in (at, after):
                if edge in following and not following[edge]:
                    del following[edge]
            if after == start:
                break
            loop.append(after)
            at = after
        loops.append(loop)
    return loops


def smoothed_density(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    ranges: tuple[tuple[float, float], tuple[float, float]],
    size: int,
) -> Grid:
    """A histogram of points with ``size`` × ``size`` cells, smoothed with a Gaussian.

    The width of the Gaussian is close to Scott's rule for the number of points, and at least one
    cell.
    """
    counts, _, _ = np.histogram2d(y, x, bins=size, range=(ranges[1], ranges[0]))
    smooth = counts
    for axis, values, (low, high) in ((0, y, ranges[1]), (1, x, ranges[0])):
        spread = float(np.subtract(*np.quantile(values, (0.84, 0.16)))) / 2
        sigma = 0.9 * spread * len(values) ** (-1 / 6) / ((high - low) / size)
        smooth = _blurred(smooth, axis, min(max(sigma, 1.0), size / 8))
    return smooth


def _blurred(grid: Grid, axis: int, sigma: float) -> Grid:
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    size = grid.shape[axis]
    index = np.arange(size)
    offset = index[:, None] - index[None, :]
    inside = np.abs(offset) <= reach
    matrix = np.where(inside, kernel[np.clip(offset + reach, 0, 2 * reach)], 0.0)
    return matrix @ grid if axis == 0 else grid @ matrix.T


def level_of_mass(grid: Grid, share: float) -> float:
    """The density above which ``share`` of the total lies."""
    values = np.sort(grid.ravel())[::-1]
    total = np.cumsum(values)
    return float(values[np.searchsorted(total, share * total[-1])])
