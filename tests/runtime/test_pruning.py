"""The part of a graph that some outputs need, compared with onnx."""

import tracemalloc

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from rnvp_runtime.bundle.pruning import pruned

X = np.array([[1.0, -2.0], [3.0, 0.5]], np.float32)


def _model() -> onnx.ModelProto:
    """x → twice = 2x, total = Σ tanh(2x) + 1. Only total needs the second part."""
    tensors = [
        numpy_helper.from_array(np.float32(2), "two"),
        numpy_helper.from_array(np.array([1]), "axes"),
    ]
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["twice"]),
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Tanh", ["twice"], ["squashed"]),
        helper.make_node("ReduceSum", ["squashed", "axes"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "one"], ["total"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, ["n"]),
        ],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key="dim", value="2")
    return model


@pytest.mark.parametrize(
    ("outputs", "operators"),
    [
        (["twice"], ["Mul"]),
        (["total"], ["Mul", "Constant", "Tanh", "ReduceSum", "Add"]),
        (["twice", "total"], ["Mul", "Constant", "Tanh", "ReduceSum", "Add"]),
    ],
    ids=" ".join,
)
def test_what_the_outputs_need_is_kept(outputs: list[str], operators: list[str]) -> None:
    """Nodes keep their order. The result is a valid model with the same metadata."""
    whole = _model()
    part = onnx.ModelProto.FromString(pruned(whole.SerializeToString(), outputs))
    onnx.checker.check_model(part, full_check=True)
    assert [node.op_type for node in part.graph.node] == operators
    assert [output.name for output in part.graph.output] == outputs
    assert part.metadata_props == whole.metadata_props
    assert part.graph.initializer == whole.graph.initializer


@pytest.mark.parametrize("output", ["twice", "total"])
def test_the_numbers_stay_the_same(output: str) -> None:
    """The pruned model gives the same bits as the whole model."""
    whole = _model().SerializeToString()
    found, expected = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
            [output], {"x": X}
        )
        for model in (pruned(whole, [output]), whole)
    )
    np.testing.assert_array_equal(found[0], expected[0], strict=True)


def test_needing_everything_changes_nothing() -> None:
    """The bytes stay the same."""
    whole = _model().SerializeToString()
    assert pruned(whole, ["total", "twice"]) == whole


@pytest.mark.parametrize("content", [b"not a model", b"\x38\x01"], ids=["text", "number"])
def test_bytes_that_are_not_a_model_are_refused(content: bytes) -> None:
    """The bytes end too early, or a number stands in place of the graph."""
    with pytest.raises(ValueError, match=r"."):
        pruned(content, ["x"])


def test_a_large_graph_is_copied_once() -> None:
    """Weights are views of the file until the parts are joined."""
    model = _model()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(4_000_000, np.float32), "w"))
    content = model.SerializeToString()
    del model
    tracemalloc.start()
    try:
        pruned(content, ["twice"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * len(content)
