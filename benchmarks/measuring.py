"""One run: all races of all flows, and what else is counted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import artifacts, floor, machine, starting
from benchmarks.artifacts import Artifacts
from benchmarks.competitors import COMPETITORS, OURS, Engine
from benchmarks.flows import FlowSize, data
from benchmarks.footprint import NEEDS, installed_bytes
from benchmarks.racing import Contestant, Pace, race
from benchmarks.results import Cell, Results
from rnvp_runtime.tiles import rows_in_a_tile

__all__ = ["FUNCTIONS", "ROWS", "Plan", "contestant_name", "run"]

ROWS = (1, 16, 256, 4096, 65_536)
FUNCTIONS = ("density", "inverse", "sampler")
FLOOR_ROWS = 256  # with fewer, numpy's own calls take longer than the products


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long it may take."""

    flows: Sequence[FlowSize]
    pace: Pace
    functions: Sequence[str] = FUNCTIONS
    rows: Sequence[int] = ROWS
    starts: int = 7


def contestant_name(competitor: str, threads: int) -> str:
    return f"{competitor} ×{threads}"


def run(plan: Plan, folder: Path, tell: Callable[[str], Any]) -> Iterator[Results]:
    """Measure everything in ``plan``: the results so far, after each flow."""
    results = Results(machine.describe())
    results.installed = {name: installed_bytes(name) for name in NEEDS}
    for size in plan.flows:
        tell(f"{size}: exporting")
        made = artifacts.write(size, folder / size.name)
        results.exports[size.name], results.nodes[size.name] = made.seconds, made.nodes
        results.flops[size.name] = floor.flops(size)
        tell(f"{size}: starting processes")
        results.starts[size.name] = starting.measure(made.folder, size.dim, plan.starts)
        results.cells += _races(made, plan, tell)
        yield results


def _races(made: Artifacts, plan: Plan, tell: Callable[[str], Any]) -> Iterator[Cell]:
    engines = {
        contestant_name(name, threads): opened(made, threads)
        for name, opened in COMPETITORS.items()
        for threads in sorted({1, machine.cores()})
    }
    _agree(engines, made.size)
    for function in plan.functions:
        for rows in plan.rows:
            tell(f"{made.size}: {function} of {rows:,} rows")
            with floor.single_threaded():
                seconds = race(_contestants(function, engines, made.size, rows), plan.pace)
            yield Cell(made.size.name, function, rows, seconds)


def _contestants(
    function: str, engines: dict[str, Engine], size: FlowSize, rows: int
) -> dict[str, Contestant]:
    x = data(size, rows)
    z = np.random.default_rng(1).standard_normal((rows, size.dim), dtype=np.float32)
    calls: dict[str, Callable[[Engine], Callable[[], Any]]] = {
        "density": lambda engine: partial(engine.log_prob, x),
        "inverse": lambda engine: partial(engine.inverse, z),
        "sampler": lambda engine: partial(engine.sample, rows),
    }
    contestants = {
        name: Contestant(calls[function](engine), engine.ready) for name, engine in engines.items()
    }
    if rows >= FLOOR_ROWS:
        tile = rows_in_a_tile(size.hidden, 4)
        contestants["floor"] = Contestant(floor.products(size, rows, tile))
    if function == "sampler":  # what drawing adds to it
        own = engines[contestant_name(OURS, 1)]
        contestants["inverse alone"] = Contestant(partial(own.inverse, z), own.ready)
    return contestants


def _agree(engines: dict[str, Engine], size: FlowSize) -> None:
    """All must be the same function, or their times may not be compared."""
    x = data(size, 512)
    z = np.random.default_rng(1).standard_normal(x.shape, dtype=np.float32)
    expected: dict[str, Any] = {}
    for name, engine in engines.items():
        engine.ready()
        found = {"log_prob": engine.log_prob(x), "inverse": engine.inverse(z)}
        expected = expected or {key: value.copy() for key, value in found.items()}
        for key, value in found.items():
            scale = 1 + np.abs(expected[key])
            worst = float((np.abs(value - expected[key]) / scale).max())
            if not worst < 1e-3:
                raise ValueError(f"{name} does not agree with eager PyTorch in {key}: {worst:.2g}")
        if engine.sample(5).shape != (5, size.dim):
            raise ValueError(f"{name} does not draw (5, {size.dim}) samples")
