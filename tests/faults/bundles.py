"""A small valid bundle, and the faults that the tests put into copies of it.

Each fault keeps the hashes of the manifest correct, since an attacker would correct them too.
"""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rnvp_runtime import Manifest
from rnvp_runtime.bundle.manifest import FileRecord
from tests.runtime.conftest import write_bundle

__all__ = ["GRAPH_FAULTS", "GraphFault", "copy", "put_file", "put_graph", "sound_bundle"]

GraphFault = Callable[[onnx.ModelProto], Any]


def sound_bundle(folder: Path) -> Path:
    """Write a bundle of an affine map below ``folder``."""
    return write_bundle(folder / "model.rnvp")


def copy(bundle: Path, folder: Path) -> Path:
    """Copy ``bundle`` to a place below ``folder``."""
    return Path(shutil.copytree(bundle, folder / bundle.name))


def put_graph(bundle: Path, graph: str, content: bytes) -> None:
    """Replace an ONNX file, and correct its size and hash in the manifest."""
    put_file(bundle, f"{graph}.onnx", content)


def put_file(bundle: Path, name: str, content: bytes) -> None:
    """Replace a file of a bundle, and correct its size and hash in the manifest."""
    (bundle / name).write_bytes(content)
    manifest = Manifest.read(bundle)
    record = FileRecord(hashlib.sha256(content).hexdigest(), len(content))
    files = {**manifest.files, name: record}
    text = dataclasses.replace(manifest, files=files).to_json()
    (bundle / "manifest.json").write_text(text, encoding="utf-8")


def _external(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret.txt")


def _external_constant(model: onnx.ModelProto) -> None:
    tensor = TensorProto(data_type=1, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/hostname")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))


def _external_attribute(model: onnx.ModelProto) -> None:
    tensor = TensorProto(data_type=1, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/hostname")
    model.graph.node[0].attribute.append(helper.make_attribute("value", tensor))


def _domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _node_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.microsoft"


def _subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", body))


def _loop(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Loop"


def _function(model: onnx.ModelProto) -> None:
    opsets = [helper.make_opsetid("", 18)]
    node = helper.make_node("Abs", ["a"], ["b"])
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], opsets))


def _sparse(model: onnx.ModelProto) -> None:
    values = helper.make_tensor("sparse", 1, [1], [1.0])
    indices = helper.make_tensor("indices", 7, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**9]))


def _memory(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("ConstantOfShape", ["one"], ["huge"]))


def _random(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["noise"], shape=[2]))


def _not_finite(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = float("nan")
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def _integer_division(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Div", ["one", "one"], ["crash"]))


def _reversed(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _two_writers(model: onnx.ModelProto) -> None:
    model.graph.node.append(model.graph.node[0])


def _renamed_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "log_density"
    model.graph.node.append(helper.make_node("Neg", ["log_prob"], ["log_density"]))


def _static_rows(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5


def _negative_width(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = -2


def _other_dtype(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def _newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def _other_bundle(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="rnvp.bundle", value="f" * 16)


def _other_columns(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="rnvp.columns", value='["x1", "x0"]')


def _other_width(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="rnvp.context_dim", value="3")


def _negative_dims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -2


def _absurd_dims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims.extend([2**40] * 10_000)


def _text_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(["x"], object), "text"))


def _half_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT16, [1], [1.0]))


def _sequence(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_sequence_value_info("q", TensorProto.FLOAT, [2]))


def _outer_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="a", ref_attr_name="of a function", type=1)


def _training(model: onnx.ModelProto) -> None:
    model.training_info.add()


def _weight_called_as_the_input(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("x", TensorProto.FLOAT, [1, 2], [0.0, 0.0]))


def _infinite_attribute(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Gemm", ["x", "x"], ["q"], alpha=float("inf")))


def _part_of_a_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].segment.end = 1


def _nothing_computed(model: onnx.ModelProto) -> None:
    model.graph.ClearField("node")


def _quantized(model: onnx.ModelProto) -> None:
    model.graph.quantization_annotation.add(tensor_name="loc")


GRAPH_FAULTS: dict[str, tuple[GraphFault, str]] = {
    "external data": (_external, "another file"),
    "external data of a constant": (_external_constant, "operator 'Constant'"),
    "external data of an attribute": (_external_attribute, "has a tensor for an attribute"),
    "a custom domain": (_domain, "domain 'com.microsoft'"),
    "a node of a custom domain": (_node_domain, "another domain"),
    "a subgraph": (_subgraph, "a subgraph"),
    "a loop": (_loop, "operator 'Loop'"),
    "a function": (_function, "functions"),
    "a sparse weight": (_sparse, "sparse weights"),
    "a tensor of any size": (_memory, "operator 'ConstantOfShape'"),
    "random numbers": (_random, "operator 'RandomNormal'"),
    "a weight that is not finite": (_not_finite, "NaN or infinity"),
    "a division of integers": (_integer_division, "whole numbers"),
    "nodes reversed": (_reversed, "nothing before it gives"),
    "two nodes of one output": (_two_writers, "two tensors are called"),
    "an output of another name": (_renamed_output, "outputs"),
    "a static row axis": (_static_rows, "inputs"),
    "a negative width": (_negative_width, "inputs"),
    "another dtype": (_other_dtype, "outputs"),
    "a newer IR version": (_newer_ir, "IR version 99, the manifest says 10"),
    "a newer opset": (_newer_opset, "opset 99, the manifest says 18"),
    "the graph of another bundle": (_other_bundle, "metadata rnvp.bundle"),
    "the graph of other columns": (_other_columns, "metadata rnvp.columns"),
    "the graph of another context": (_other_width, "metadata rnvp.context_dim"),
    "a weight of negative dimensions": (_negative_dims, "numbers for shape"),
    "a weight of 10,000 dimensions": (_absurd_dims, "more than 8 dimensions"),
    "text for a weight": (_text_weight, "text in a tensor"),
    "a weight of float16": (_half_weight, "which no bundle needs"),
    "an input that is a list": (_sequence, "field 4 of TypeProto"),
    "an attribute of a function": (_outer_attribute, "field 21 of AttributeProto"),
    "training": (_training, "training information"),
    "a weight called as the input": (_weight_called_as_the_input, "two tensors are called"),
    "an attribute that is not finite": (_infinite_attribute, "that is not finite"),
    "a part of a weight": (_part_of_a_weight, "field 3 of TensorProto"),
    "no nodes": (_nothing_computed, "no node computes its output"),
    "a quantization": (_quantized, "field 14 of GraphProto"),
}
"""Name -> (the change of the density graph, part of the error)."""
