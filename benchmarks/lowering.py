"""What each rewrite of the lowering buys: the graph with it against the graph without.

    python -m benchmarks.lowering

Each line takes a flow that has what the rewrite removes, traces it twice, and lets the two graphs
run in turns: one row at a time, and many rows in tiles. A ratio above 1 is what it costs to leave
the rewrite out.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch

from benchmarks.flows import FLOWS, FlowSize, data, make
from benchmarks.racing import Calls, Contestant, Pace, race, ratio
from benchmarks.tables import markdown
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.transforms import DiagonalAffine
from rnvp_exporters.graphs import GraphDefinition, graph_definitions, trace
from rnvp_exporters.graphs.operators import ONNX, PLAIN, Operators
from rnvp_exporters.lowering import ABSORB, ALL, FOLD, RENAME, Rewrite, lower
from rnvp_runtime.engines.onnxruntime_engine import open_session
from rnvp_runtime.tiles import over_tiles, rows_in_a_tile

MANY = 8192
MEDIUM = FLOWS["d8"]


@dataclass(frozen=True)
class Comparison:
    """A graph traced with everything, and without one thing."""

    name: str
    flow: Callable[[], RNVP]
    rewrites: tuple[Rewrite, ...] = ALL
    keep_halves_apart: bool = True
    operators: Operators = ONNX
    graph: str = "density"
    size: FlowSize = MEDIUM

    def trace(self, graph: GraphDefinition, flow: RNVP) -> bytes:
        """The graph without the thing."""
        lowered = lower(flow, self.rewrites, keep_halves_apart=self.keep_halves_apart)
        return trace(graph, lowered, torch.float32, "onnx", 18, operators=self.operators)


def mixed(**options: Any) -> RNVP:
    """The flow of d 8 with other things between its couplings, set from data."""
    config = RNVPConfig(
        dim=MEDIUM.dim,
        hidden=MEDIUM.hidden,
        couplings=MEDIUM.couplings,
        joint=False,
        **options,
    )
    torch.manual_seed(0)
    flow = RNVP(config)
    with torch.no_grad():
        flow.initialise(torch.from_numpy(data(MEDIUM, 4096)))
        for transform in flow.transforms:
            if isinstance(transform, DiagonalAffine):
                transform.loc += 0.1  # as training leaves it
                transform.log_scale += 0.1
    return flow.eval().requires_grad_(False)


def without(rewrite: Rewrite) -> tuple[Rewrite, ...]:
    """All rewrites but one."""
    return tuple(step for step in ALL if step is not rewrite)


COMPARISONS = (
    Comparison(
        "rename (a permutation per coupling)", lambda: mixed(mixing="permute"), without(RENAME)
    ),
    Comparison("fold (an ActNorm per coupling)", lambda: mixed(actnorm=True), without(FOLD)),
    Comparison(
        "absorb (a linear and an ActNorm per coupling)",
        lambda: mixed(mixing="lu", actnorm=True),
        without(ABSORB),
    ),
    *(
        Comparison(f"separate halves, {s}", partial(make, s), keep_halves_apart=False, size=s)
        for s in FLOWS.values()
    ),
    Comparison(
        "one Sum of all σ", partial(make, MEDIUM), operators=replace(ONNX, total=PLAIN.total)
    ),
    Comparison(
        "σ's sign in the weights",
        partial(make, MEDIUM),
        operators=replace(ONNX, signs_in_weights=False),
        graph="inverse",
    ),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    pace = Pace(7, 0.01) if parser.parse_args().quick else Pace(21, 0.05)
    lines = [line(comparison, pace) for comparison in COMPARISONS]
    head = ["rewrite", "nodes", "without it", "1 row, without / with", f"{MANY:,} rows, in tiles"]
    print(markdown(head, lines))


def line(comparison: Comparison, pace: Pace) -> list[str]:
    """One comparison, measured."""
    flow = comparison.flow()
    definitions = graph_definitions(flow.dim, flow.context_dim)
    graph = next(graph for graph in definitions if graph.name == comparison.graph)
    with_it = trace(graph, lower(flow), torch.float32, "onnx", 18)
    without_it = comparison.trace(graph, flow)
    name = next(iter(graph.inputs))
    sessions = {"with": open_session(with_it), "without": open_session(without_it)}
    x = data(comparison.size, MANY)
    tile = rows_in_a_tile(comparison.size.hidden, 4)
    found, expected = (run.run(["log_prob"], {name: x[:512]})[0] for run in sessions.values())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)

    def contestant(session: Any, rows: int) -> Contestant:
        def one(low: int, high: int) -> None:
            session.run(["log_prob"], {name: x[low:high]})

        return Calls(lambda: over_tiles(one, rows, tile, 1))

    ratios = []
    for rows in (1, MANY):
        times = race({key: contestant(run, rows) for key, run in sessions.items()}, pace)
        ratios.append(str(ratio(times["without"], times["with"])))
    counts = [len(onnx.load_from_string(content).graph.node) for content in (with_it, without_it)]
    return [comparison.name, *map(str, counts), *ratios]


if __name__ == "__main__":
    main()
