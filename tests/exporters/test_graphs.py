"""The ONNX files have few, standard nodes and no information about the machine that wrote them."""

from collections import Counter
from functools import cache
from pathlib import Path

import onnx
import pytest
import torch

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_exporters.graphs import graph_definitions, trace
from rnvp_exporters.lowering import lower
from tests.flows import CONFIGS, lively

# density (and inverse) nodes: 4 per coupling and network layers, 2 of standardisation, Split and
# Concat of the halves, and the 7 of the sum. The sampler adds 89 for stream and temperature.
NOISE = 89
STREAM_OPERATORS = {"Range", "BitShift", "BitwiseXor", "BitwiseAnd", "Log", "Sqrt", "Cos", "Sin"}


@cache
def models_of(name: str) -> dict[str, onnx.ModelProto]:
    """The three graphs of a configuration, traced once."""
    return models(lively(CONFIGS[name]))


def models(flow: RNVP) -> dict[str, onnx.ModelProto]:
    """The three graphs of a flow."""
    lowered = lower(flow)
    return {
        graph.name: onnx.load_from_string(trace(graph, lowered, torch.float32, "onnx", 18))
        for graph in graph_definitions(flow.dim, flow.context_dim)[:3]  # test_gradient.py: the 4th
    }


def operators(model: onnx.ModelProto) -> Counter[str]:
    """How many nodes of each operator."""
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize(
    ("config", "nodes"),
    [
        (RNVPConfig(dim=2, hidden=(64, 64), couplings=6, joint=False), 95),
        (RNVPConfig(dim=8, hidden=(128, 128), couplings=8, joint=False), 123),
        (RNVPConfig(dim=42, hidden=(100, 100), couplings=10, joint=False), 151),
        (RNVPConfig(dim=2), 91),
    ],
    ids=["d 2", "d 8", "d 42", "default"],
)
def test_the_number_of_nodes_of_a_flow(config: RNVPConfig, nodes: int) -> None:
    """The speed of a graph depends on these counts."""
    found = {name: len(model.graph.node) for name, model in models(lively(config)).items()}
    assert found == {"density": nodes, "inverse": nodes, "sampler": nodes + NOISE}


def test_the_halves_are_split_once_and_joined_once() -> None:
    """No node between the couplings moves coordinates."""
    density = operators(models_of("odd")["density"])
    assert (density["Split"], density["Concat"], density["Gather"]) == (1, 1, 0)


def test_permutations_cost_one_node_together() -> None:
    """All permutations of a flow become one Gather, which orders z."""
    density = operators(models_of("permuted")["density"])
    assert (density["Split"], density["Concat"], density["Gather"]) == (0, 0, 1)


def test_affines_between_couplings_cost_nothing() -> None:
    """ActNorm and standardisation are one Add and one Mul at the input."""
    with_them, without = (
        RNVPConfig(dim=4, hidden=(8,), couplings=3, actnorm=actnorm) for actnorm in (True, False)
    )
    assert operators(models(lively(with_them))["density"]) == operators(
        models(lively(without))["density"]
    )


def test_there_is_one_sum_over_all_couplings() -> None:
    """One Sum and one ReduceSum add every σ; the other ReduceSum adds z²."""
    density = operators(models_of("separate networks")["density"])
    assert (density["Sum"], density["ReduceSum"], density["ReduceSumSquare"]) == (1, 2, 0)


@pytest.mark.parametrize("name", ["permuted", "linear", "gated"])
def test_every_graph_is_standard_whole_and_symbolic_in_its_rows(name: str) -> None:
    """A graph has opset 18, IR 10, only the ONNX domain, weights inside and rows called n."""
    for model in models_of(name).values():
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version == 10
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
        assert not model.functions
        assert all(not value.external_data for value in model.graph.initializer)
        for value in (*model.graph.input, *model.graph.output):
            dims = value.type.tensor_type.shape.dim
            assert not dims or dims[0].dim_param == "n"


def test_density_and_inverse_are_float_only() -> None:
    """Both graphs run in engines that have no 64-bit integers."""
    found = models_of("given")
    for name in ("density", "inverse"):
        assert not operators(found[name]).keys() & STREAM_OPERATORS - {"Log"}


def test_nothing_of_the_writing_machine_is_in_a_file() -> None:
    """The exporter writes source lines on each node; the export removes them."""
    here = str(Path(__file__).parents[2])
    for model in models_of("two coordinates").values():
        content = model.SerializeToString()
        assert here.encode() not in content
        assert b"stack_trace" not in content
        assert not any(node.metadata_props for node in model.graph.node)


def test_a_float64_graph_holds_float64_constants() -> None:
    """A Python number in the flow is not rounded to float32 on its way into the graph."""
    from rnvp_deploy.scales import Atan

    flow = lively(RNVPConfig(dim=3, scale=Atan(1.1), hidden=(8,), couplings=2))
    definition = graph_definitions(3, 0)[0]
    density = onnx.load_from_string(trace(definition, lower(flow), torch.float64, "onnx", 18))
    scalars = {
        float(onnx.numpy_helper.to_array(value))
        for value in density.graph.initializer
        if value.data_type == onnx.TensorProto.DOUBLE and not value.dims
    }
    assert 0.636 * 1.1 in scalars
