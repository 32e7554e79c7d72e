"""One run of the benchmarks: all races of all flows, start times, sizes and node counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import artifacts, floor, machine, starting
from benchmarks.artifacts import Artifacts
from benchmarks.competitors import COMPETITORS, FUNCTIONS, OURS
from benchmarks.flows import FlowSize, data
from benchmarks.footprint import installed_bytes
from benchmarks.racing import Calls, Contestant, Pace, race
from benchmarks.results import Cell, Results
from benchmarks.worker import Remote, Worker
from rnvp_runtime.tiles import rows_in_a_tile

__all__ = ["FUNCTIONS", "ROWS", "Plan", "contestant_name", "run"]

ROWS = (1, 16, 256, 4096, 65_536)
_THREADS = sorted({1, machine.cores()})
FLOOR_ROWS = 256  # with fewer, numpy's own calls take longer than the products


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long."""

    flows: Sequence[FlowSize]
    pace: Pace
    functions: Sequence[str] = FUNCTIONS
    rows: Sequence[int] = ROWS
    starts: int = 7


def contestant_name(competitor: str, threads: int) -> str:
    """The key of a competitor's times in the results: its name and its number of threads."""
    return f"{competitor} ×{threads}"


def run(plan: Plan, folder: Path, report: Callable[[str], Any]) -> Iterator[Results]:
    """Measure everything in ``plan``: the results so far, after each flow."""
    results = Results(machine.describe())
    results.installed = {name: installed_bytes(one) for name, one in COMPETITORS.items()}
    for size in plan.flows:
        report(f"{size}: exporting")
        made = artifacts.write(size, folder / size.name)
        results.exports[size.name], results.nodes[size.name] = made.seconds, made.nodes
        results.flops[size.name] = floor.flops(size)
        report(f"{size}: starting processes")
        results.starts[size.name] = starting.measure(made.folder, size.dim, plan.starts)
        results.cells += _races(made, plan, report)
        yield results


def _races(made: Artifacts, plan: Plan, report: Callable[[str], Any]) -> Iterator[Cell]:
    with ExitStack() as stack:
        workers = {
            contestant_name(name, threads): stack.enter_context(
                Worker(name, made.folder, made.size.dim, threads)
            )
            for name in COMPETITORS
            for threads in _THREADS
        }
        _agree(workers, made.size)
        for function in plan.functions:
            for rows in plan.rows:
                report(f"{made.size}: {function} of {rows:,} rows")
                with floor.single_threaded():
                    seconds = race(_contestants(function, workers, made.size, rows), plan.pace)
                yield Cell(made.size.name, function, rows, seconds)


def _contestants(
    function: str, workers: Mapping[str, Worker], size: FlowSize, rows: int
) -> dict[str, Contestant]:
    z = _latents(size, rows)
    argument = {"density": data(size, rows), "inverse": z, "sampler": rows}[function]
    contestants: dict[str, Contestant] = {
        contestant_name(name, threads): Remote(
            workers[contestant_name(name, threads)], function, argument
        )
        for name, competitor in COMPETITORS.items()
        for threads in _THREADS
        if competitor.can(size, function)
    }
    if rows >= FLOOR_ROWS:
        tile = rows_in_a_tile(size.hidden, 4)
        contestants["floor"] = Calls(floor.products(size, rows, tile))
    if function == "sampler":  # the difference is the time of the noise
        contestants["inverse alone"] = Remote(workers[contestant_name(OURS, 1)], "inverse", z)
    return contestants


def _agree(workers: Mapping[str, Worker], size: FlowSize) -> None:
    """Check that all competitors compute the same function.

    Raises:
        ValueError: one does not.
    """
    x, z = data(size, 512), _latents(size, 512)
    expected: dict[str, Any] = {}
    for name, worker in workers.items():
        found = {"density": worker.call("density", x), "inverse": worker.call("inverse", z)}
        expected = expected or found
        for key, value in found.items():
            scale = 1 + np.abs(expected[key])
            worst = float((np.abs(value - expected[key]) / scale).max())
            if not worst < 1e-3:
                raise ValueError(f"{name} does not agree with eager PyTorch in {key}: {worst:.2g}")
        if worker.call("sampler", 5).shape != (5, size.dim):
            raise ValueError(f"{name} does not draw (5, {size.dim}) samples")


def _latents(size: FlowSize, rows: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((rows, size.dim), dtype=np.float32)
