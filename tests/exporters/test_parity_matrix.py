"""Parity over flows of every kind: each graph, format, dtype and direction, at every batch size.

`make test-slow` tries each kind once, `make test-matrix` the other combinations.

``parity.check`` runs each graph at all batch sizes of the design, on rows like data, on tails, and
on NaN and infinities, and raises unless every error is within its published factor.
"""

import pytest
import torch

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.config import Mixing
from rnvp_deploy.scales import SCALES as SCALE_CLASSES
from rnvp_exporters.graphs import FORMATS, Format, graph_definitions, trace
from rnvp_exporters.lowering import lower
from rnvp_exporters.proof.parity import check
from rnvp_exporters.proof.probes import probe
from rnvp_exporters.proof.running import open_graph
from rnvp_exporters.proof.vectors import choose_vectors
from tests.flows import CONFIGS, SCALES, lively
from tests.matrix import in_ci

pytestmark = pytest.mark.slow

FLOAT32 = pytest.param(torch.float32, id="float32")
FLOAT64 = pytest.param(torch.float64, id="float64", marks=pytest.mark.matrix)

# One flow of each way in which a graph is built.
KINDS = {"two coordinates", "odd", "linear", "gated", "one coordinate, given", "wide"}


def hold_to_parity(flow: RNVP, dtype: torch.dtype, formats: tuple[Format, ...]) -> None:
    """Trace all four graphs and check their parity."""
    lowered = lower(flow)
    for graph in graph_definitions(flow.dim, flow.context_dim):
        drawn = probe(flow, graph, dtype, exact=lowered.halves_apart)
        for format in formats:
            content = trace(graph, lowered, dtype, format, 18)
            records = check(choose_vectors(flow, drawn), open_graph(graph, content, format), format)
            assert {record.output for record in records} == set(graph.outputs)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
@pytest.mark.parametrize("name", in_ci(CONFIGS, KINDS))
def test_every_kind_of_flow_in_every_format(name: str, dtype: torch.dtype) -> None:
    """Parity holds in ONNX, TorchScript and torch.export."""
    hold_to_parity(lively(CONFIGS[name]), dtype, tuple(FORMATS))


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64])
@pytest.mark.parametrize("mixing", ["swap", pytest.param("permute", marks=pytest.mark.matrix)])
@pytest.mark.parametrize("name", in_ci(SCALES, SCALE_CLASSES))
def test_every_scale_function(name: str, mixing: Mixing, dtype: torch.dtype) -> None:
    """A steep scale increases eager's error as much as the graph's, so parity holds."""
    config = RNVPConfig(dim=5, scale=SCALES[name], mixing=mixing, hidden=(16, 16), couplings=4)
    # At the full spread the unbounded exp maps a wide latent to 10¹³: nothing is left to compare.
    hold_to_parity(lively(config, spread=0.04 if name == "exp" else 0.08), dtype, ("onnx",))


@pytest.mark.parametrize("opset", in_ci(range(18, 24), (18, 23)))
def test_every_opset(opset: int) -> None:
    """Parity holds with every opset that --opset offers."""
    flow = lively(CONFIGS["gated"])
    lowered = lower(flow)
    for graph in graph_definitions(flow.dim, flow.context_dim):
        drawn = probe(flow, graph, torch.float32, exact=lowered.halves_apart)
        content = trace(graph, lowered, torch.float32, "onnx", opset)
        check(choose_vectors(flow, drawn), open_graph(graph, content, "onnx"), "onnx")
