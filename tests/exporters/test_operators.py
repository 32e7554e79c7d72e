"""The runtime opens every graph that can be exported."""

import pytest
import torch

from rnvp_deploy import RNVPConfig
from rnvp_deploy.networks import ACTIVATIONS
from rnvp_exporters.graphs import graph_definitions, trace
from rnvp_exporters.lowering import lower
from rnvp_runtime.bundle.onnx_structure import read_structure
from tests.flows import CONFIGS, SCALES, lively

KINDS = {
    **{name: CONFIGS[name] for name in CONFIGS if name != "wide"},
    **{
        f"scale {name}": RNVPConfig(dim=3, couplings=2, hidden=(4,), scale=scale)
        for name, scale in SCALES.items()
    },
    **{
        f"activation {name}": RNVPConfig(dim=3, couplings=1, hidden=(4,), activation=name)
        for name in ACTIVATIONS
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_graph_is_within_the_allowed_structure(kind: str) -> None:
    """Its operators are in `OPERATORS`: a new scale or activation may need a new one there."""
    flow = lively(KINDS[kind])
    lowered = lower(flow)
    for graph in graph_definitions(flow.dim, flow.context_dim):
        if graph.name != "sampler" or kind == "two coordinates":  # its noise is the same for all
            read_structure(trace(graph, lowered, torch.float32, "onnx", 18))
