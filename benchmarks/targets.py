"""The targets beside what was measured: met, or not met and by how much.

Each is a ratio of two contestants of one race. A target that is not met does not fail the run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.racing import Ratio, ratio
from benchmarks.results import Results

__all__ = ["Target", "table"]

OURS = "rnvp-deploy"
PLAIN = "plain ONNX Runtime"
BOTH = ("density", "inverse")
ALL = ("d2", "d8", "d43")


@dataclass(frozen=True)
class Target:
    """``above`` / ``below``, contestants of one race, is at least (or ``at_most``) ``bound``."""

    title: str
    functions: tuple[str, ...]
    flows: tuple[str, ...]
    rows: int
    above: str
    below: str
    bound: float
    at_most: bool = False

    def met(self, found: Ratio) -> bool:
        return found.median <= self.bound if self.at_most else found.median >= self.bound


def _targets(cores: int) -> list[Target]:
    one, all_ = f"{OURS} ×1", f"{OURS} ×{cores}"
    native, graph = f"{OURS} native ×1", f"{OURS} onnxruntime ×1"
    many = 65_536
    return [
        Target("1 row: eager", BOTH, ALL, 1, "eager PyTorch ×1", one, 10),
        Target("1 row: TorchScript", BOTH, ALL, 1, "TorchScript ×1", one, 4),
        Target("1 row: OpenVINO", BOTH, ALL, 1, "OpenVINO ×1", one, 2.5),
        Target("1 row: ours / plain export", BOTH, ALL, 1, one, f"{PLAIN} ×1", 0.80, True),
        Target("1 row: our onnxruntime / native", BOTH, ("d2",), 1, graph, native, 3),
        Target("1 row: our onnxruntime / native", BOTH, ("d8", "d43"), 1, graph, native, 2.5),
        Target("1 row: eager / native", BOTH, ("d2",), 1, "eager PyTorch ×1", native, 30),
        Target("65,536: native / our onnxruntime", BOTH, ALL, many, native, graph, 1.0, True),
        Target(
            "65,536, all cores: native ×1", BOTH, ALL, many, native,
            f"{OURS} native ×{cores}", 1.85,
        ),
        Target("65,536: eager", BOTH, ALL, many, "eager PyTorch ×1", one, 4),
        Target("65,536: plain export", BOTH, ("d8", "d43"), many, f"{PLAIN} ×1", one, 1.8),
        Target("65,536: plain export", BOTH, ("d2",), many, f"{PLAIN} ×1", one, 1.4),
        Target("65,536: OpenVINO", BOTH, ALL, many, "OpenVINO ×1", one, 1.25),
        Target("65,536: sgemm / ours", BOTH, ("d8",), many, "floor", one, 0.68),
        Target("65,536, all cores: ours ×1", BOTH, ALL, many, one, all_, 1.85),
        Target(
            "65,536, all cores: plain export",
            BOTH, ("d8", "d43"), many, f"{PLAIN} ×{cores}", all_, 1.9,
        ),
        Target(
            "65,536, all cores: plain export", BOTH, ("d2",), many, f"{PLAIN} ×{cores}", all_, 1.6
        ),
        Target("65,536: eager inverse(randn)", ("sampler",), ALL, many, "eager PyTorch ×1", one, 4),
        Target(
            "65,536: sampler / inverse (noise ≤ 15 %)",
            ("sampler",), ("d8",), many, one, "inverse alone", 1 / 0.85, True,
        ),
        Target("1 row: sampler / inverse", ("sampler",), ALL, 1, one, "inverse alone", 1.8, True),
    ]  # fmt: skip


def table(results: Results) -> str:
    """Markdown: one line for each target, flow and function that was measured."""
    lines = [
        "| | flow | function | target | measured (10–90 %) | |",
        "|---|---|---|---|---|---|",
        *_races(results),
        *_scoring(results),
    ]
    return "\n".join(lines)


def _races(results: Results) -> Iterator[str]:
    for target in _targets(int(results.machine["cores"])):
        sign = "≤" if target.at_most else "≥"
        for flow in target.flows:
            for function in target.functions:
                cell = results.find(flow, function, target.rows)
                if cell is None:
                    continue
                if not {target.above, target.below} <= cell.seconds.keys():
                    continue
                found = ratio(cell.seconds[target.above], cell.seconds[target.below])
                said = f"{sign} {target.bound:.2f}"
                yield _line(target.title, flow, function, said, str(found), target.met(found))


def _scoring(results: Results) -> Iterator[str]:
    """The lines of a long file: memory beside a short file, and speed beside rows in memory."""
    if not results.scoring:
        return
    shortest, longest = results.scoring[0], results.scoring[-1]
    said = f"{longest['rows']:,.0f} rows from a file"
    growth = longest["peak"] / shortest["peak"]
    measured = f"{growth:.2f} ({longest['peak'] / 2**20:.0f} MiB)"
    yield _line(f"{said}: memory / {shortest['rows']:,.0f} rows", "d2", "density", "≤ 1.10",
                measured, growth <= 1.1)  # fmt: skip
    speed = float(np.median([run["speed"] for run in results.scoring[-1:]]))
    yield _line(f"{said}: speed / 65,536 rows in memory", "d2", "density", "≥ 0.90",
                f"{speed:.2f}", speed >= 0.9)  # fmt: skip


def _line(said: str, flow: str, function: str, bound: str, found: str, met: bool) -> str:
    return (
        f"| {said} | {flow} | {function} | {bound} | {found} | {'met' if met else '**not met**'} |"
    )
