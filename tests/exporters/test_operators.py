"""The runtime's list of operators is exactly what exports can contain."""

import onnx
import pytest
import torch

from rnvp_exporters.graphs import graph_definitions, trace
from rnvp_exporters.lowering import lower
from rnvp_runtime.bundle.onnx_structure import OPERATORS, read_structure
from tests.exporters.every_part import FLOWS, flow_of_parts

OPSETS = range(18, 24)


def contents(name: str, dtype: torch.dtype, opset: int) -> list[bytes]:
    """The ONNX files of a flow. Only one flow has its sampler here, since the noise is the same."""
    flow = flow_of_parts(name)
    lowered = lower(flow)
    return [
        trace(graph, lowered, dtype, "onnx", opset)
        for graph in graph_definitions(flow.dim, flow.context_dim)
        if graph.name != "sampler" or name == "integers"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["together", "integers"])
def test_every_graph_is_within_the_allowed_structure(name: str) -> None:
    """A new scale or activation may need a new operator in `OPERATORS`."""
    for content in contents(name, torch.float32, 18):
        read_structure(content)


@pytest.mark.matrix
def test_the_list_is_what_an_export_can_write() -> None:
    """Exports of every part, dtype and opset contain exactly the operators of the list."""
    found = set()
    for name in FLOWS:
        for dtype in (torch.float32, torch.float64):
            for opset in OPSETS:
                for content in contents(name, dtype, opset):
                    model = onnx.load_from_string(content)
                    found |= {node.op_type for node in model.graph.node}
    assert found == OPERATORS
