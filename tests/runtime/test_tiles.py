"""Tiles: their size, that each row is in one tile, and what an exception does."""

import threading

import pytest

from rnvp_runtime.tiles import over_tiles, rows_in_a_tile


@pytest.mark.parametrize(
    ("widths", "itemsize", "rows"),
    [
        ([128, 128], 4, 1024),
        ([8, 128, 128], 4, 1024),
        ([128, 128], 8, 512),
        ([2], 4, 8192),
        ([9999], 8, 256),
    ],
)
def test_two_widest_activations_fit_the_budget(widths: list[int], itemsize: int, rows: int) -> None:
    """The budget is 1 MiB; a tile has 256 to 8192 rows, in multiples of 64."""
    assert rows_in_a_tile(widths, itemsize) == rows


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("rows", [0, 1, 10, 11, 95])
def test_each_row_is_done_once(rows: int, threads: int) -> None:
    """Tiles cover the rows without overlap, for any number of threads."""
    done: list[tuple[int, int]] = []
    over_tiles(lambda low, high: done.append((low, high)), rows, 10, threads)
    assert sorted(done) == [(low, min(low + 10, rows)) for low in range(0, rows, 10)]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_ends_the_work(threads: int) -> None:
    """The first exception is raised, and the remaining tiles are not computed."""
    begun: list[int] = []

    def work(low: int, high: int) -> None:
        begun.append(low)
        raise ArithmeticError(low)

    with pytest.raises(ArithmeticError):
        over_tiles(work, 1000, 1, threads)
    assert len(begun) <= threads


def test_tiles_run_side_by_side() -> None:
    """Two threads compute tiles at the same time."""
    meeting = threading.Barrier(2, timeout=10)
    over_tiles(lambda low, high: meeting.wait() and None, 2, 1, 2)
