"""What each rewrite of the lowering buys: the graph with it against the graph without.

    python -m benchmarks.lowering

Each line takes a flow that has what the rewrite removes, traces it twice, and lets the two graphs
run in turns: one row at a time, and many rows in tiles. A ratio above 1 is what it costs to leave
the rewrite out.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import torch
from torch import Tensor, nn

import rnvp_exporters.inference as inference
from benchmarks.flows import FLOWS, FlowSize, data, make
from benchmarks.racing import Calls, Contestant, Pace, race, ratio
from benchmarks.tables import markdown
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.scales import Scale
from rnvp_deploy.transforms import DiagonalAffine, Permutation, Transform
from rnvp_exporters.folded_scales import Negated
from rnvp_exporters.operators import ONNX, PLAIN
from rnvp_exporters.tracing import graphs, trace
from rnvp_runtime.engines.onnxruntime_engine import open_session
from rnvp_runtime.tiles import over_tiles, rows_in_a_tile

MANY = 8192
MEDIUM = FLOWS["d8"]
Without = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Rewrite:
    """``without`` is a context in which tracing ``graph`` of ``flow`` leaves the rewrite out."""

    name: str
    flow: Callable[[], RNVP]
    without: Without
    graph: str = "density"
    size: FlowSize = MEDIUM


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


def left_out(name: str) -> Without:
    """One of ``rename``, ``fold``, ``absorb`` that changes nothing."""
    return partial(patch, f"rnvp_exporters.lowering.{name}", lambda transforms: transforms)


@contextmanager
def together() -> Iterator[None]:
    """All coordinates in one tensor, index sets written into the weights."""
    with patch.object(inference, "partition", lambda transforms, dim: (tuple(range(dim)),)):
        yield


@contextmanager
def permuting() -> Iterator[None]:
    """Permutations stay where they are, each one Gather."""
    made = inference._step

    def step(transform: Transform, parts: Any, direction: Any) -> nn.Module:
        if isinstance(transform, Permutation):
            return Reordered(transform, direction)
        return made(transform, parts, direction)

    with ExitStack() as stack:
        stack.enter_context(together())
        stack.enter_context(left_out("rename")())
        stack.enter_context(patch.object(inference, "_step", step))
        yield


class Reordered(nn.Module):
    """A permutation as a step of its own."""

    order: Tensor

    def __init__(self, permutation: Permutation, direction: str) -> None:
        super().__init__()
        order = permutation.order if direction == "forward" else permutation.back
        self.register_buffer("order", order)

    def forward(self, parts: list[Tensor], context: Tensor | None) -> None:
        parts[0] = torch.index_select(parts[0], 1, self.order)


def running_adds() -> AbstractContextManager[Any]:
    """Σσ by an Add a coupling."""
    return patch("rnvp_exporters.tracing.ONNX", replace(ONNX, total=PLAIN.total))


def signs_in_the_graph() -> AbstractContextManager[Any]:
    """−σ by a Neg a coupling."""

    def fold_scale(scale: Scale, network: Any, positive: bool) -> tuple[Scale, Any]:
        return (scale if positive else Negated(scale)), network

    return patch("rnvp_exporters.steps.fold_scale", fold_scale)


REWRITES = (
    Rewrite("rename (a permutation a coupling)", lambda: mixed(mixing="permute"), permuting),
    Rewrite("fold (an ActNorm a coupling)", lambda: mixed(actnorm=True), left_out("fold")),
    Rewrite(
        "absorb (a linear and an ActNorm a coupling)",
        lambda: mixed(mixing="lu", actnorm=True),
        left_out("absorb"),
    ),
    *(
        Rewrite(f"halves apart, {size}", partial(make, size), together, size=size)
        for size in FLOWS.values()
    ),
    Rewrite("one Sum of all σ", partial(make, MEDIUM), running_adds),
    Rewrite("σ's sign in the weights", partial(make, MEDIUM), signs_in_the_graph, graph="inverse"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    pace = Pace(7, 0.01) if parser.parse_args().quick else Pace(21, 0.05)
    lines = [line(rewrite, pace) for rewrite in REWRITES]
    head = ["rewrite", "nodes", "without it", "1 row, without / with", f"{MANY:,} rows, in tiles"]
    print(markdown(head, lines))


def line(rewrite: Rewrite, pace: Pace) -> list[str]:
    """One rewrite, measured."""
    flow = rewrite.flow()
    graph = next(graph for graph in graphs(flow) if graph.name == rewrite.graph)
    with_it = trace(graph, flow, torch.float32, "onnx", 18)
    with rewrite.without():
        without = trace(graph, flow, torch.float32, "onnx", 18)
    name = next(iter(graph.inputs))
    sessions = {"with": open_session(with_it), "without": open_session(without)}
    x = data(rewrite.size, MANY)
    tile = rows_in_a_tile(rewrite.size.hidden, 4)
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
    counts = [len(onnx.load_from_string(content).graph.node) for content in (with_it, without)]
    return [rewrite.name, *map(str, counts), *ratios]


if __name__ == "__main__":
    main()
