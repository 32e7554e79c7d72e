"""The structure of an ONNX file is checked before any engine opens it.

An engine opens more than a bundle needs: tensors in other files, subgraphs that loop, functions,
operators of other domains. Each of these lets a file do something else than compute a flow. This
module refuses everything that is not listed. An accepted file is a list of nodes of `OPERATORS`,
each of which reads only earlier results, and finite weights inside the file.

    ModelProto (IR version, opsets, graph) > GraphProto (nodes, weights, inputs, outputs)

Reference: onnx.proto3 in the ONNX repository. The fields' numbers are those of that file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from struct import unpack
from typing import Any

import numpy as np

from rnvp_runtime.bundle.limits import MAX_DIMENSIONS, MAX_NAME_LENGTH, MAX_NODES
from rnvp_runtime.bundle.protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Bytes,
    wire_fields,
)
from rnvp_runtime.bundle.tensor_proto import parse
from rnvp_runtime.bundle.tensors import TensorSpec

__all__ = ["OPERATORS", "GraphInfo", "read_structure"]

OPERATORS = frozenset([
    "Abs", "Add", "And", "Atan", "BitShift", "BitwiseAnd", "BitwiseXor", "Cast", "Clip", "Concat",
    "Cos", "Div", "Erf", "Exp", "Expand", "Floor", "Gather", "Gemm", "GreaterOrEqual", "Less",
    "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Range",
    "ReduceMean", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Sign", "Sin", "Slice",
    "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where",
])  # fmt: skip
"""The operators of the standard domain that a bundle's graphs may use.

They are those that an export can write, which a test checks. To export a new operator, add it here
and to JavaScript's copy, ``operators.js``. None may run a subgraph, draw random numbers, or read a
file.
"""


@dataclass(frozen=True)
class GraphInfo:
    """Facts about a checked file, as the file states them."""

    ir_version: int
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]


# Message -> field number -> (name, wire types, may be repeated). Other fields are refused.
_Table = dict[int, tuple[str, tuple[int, ...], bool]]
_MODEL: _Table = {
    1: ("ir_version", (VARINT,), False),
    2: ("producer_name", (BYTES,), False),
    3: ("producer_version", (BYTES,), False),
    4: ("domain", (BYTES,), False),
    5: ("model_version", (VARINT,), False),
    6: ("doc_string", (BYTES,), False),
    7: ("graph", (BYTES,), False),
    8: ("opset_import", (BYTES,), True),
    14: ("metadata_props", (BYTES,), True),
}
_OPSET: _Table = {1: ("domain", (BYTES,), False), 2: ("version", (VARINT,), False)}
_ENTRY: _Table = {1: ("key", (BYTES,), False), 2: ("value", (BYTES,), False)}
_GRAPH: _Table = {
    1: ("node", (BYTES,), True),
    2: ("name", (BYTES,), False),
    5: ("initializer", (BYTES,), True),
    10: ("doc_string", (BYTES,), False),
    11: ("input", (BYTES,), True),
    12: ("output", (BYTES,), True),
    13: ("value_info", (BYTES,), True),
    16: ("metadata_props", (BYTES,), True),
}
_NODE: _Table = {
    1: ("input", (BYTES,), True),
    2: ("output", (BYTES,), True),
    3: ("name", (BYTES,), False),
    4: ("op_type", (BYTES,), False),
    5: ("attribute", (BYTES,), True),
    6: ("doc_string", (BYTES,), False),
    7: ("domain", (BYTES,), False),
    9: ("metadata_props", (BYTES,), True),
}
_ATTRIBUTE: _Table = {
    1: ("name", (BYTES,), False),
    2: ("f", (FIXED32,), False),
    3: ("i", (VARINT,), False),
    4: ("s", (BYTES,), False),
    5: ("t", (BYTES,), False),
    7: ("floats", (FIXED32, BYTES), True),
    8: ("ints", (VARINT, BYTES), True),
    9: ("strings", (BYTES,), True),
    13: ("doc_string", (BYTES,), False),
    20: ("type", (VARINT,), False),
}
_TENSOR: _Table = {
    1: ("dims", (VARINT, BYTES), True),
    2: ("data_type", (VARINT,), False),
    4: ("float_data", (FIXED32, BYTES), True),
    5: ("int32_data", (VARINT, BYTES), True),
    7: ("int64_data", (VARINT, BYTES), True),
    8: ("name", (BYTES,), False),
    9: ("raw_data", (BYTES,), False),
    10: ("double_data", (FIXED64, BYTES), True),
    11: ("uint64_data", (VARINT, BYTES), True),
    12: ("doc_string", (BYTES,), False),
    14: ("data_location", (VARINT,), False),
    16: ("metadata_props", (BYTES,), True),
}
_VALUE_INFO: _Table = {
    1: ("name", (BYTES,), False),
    2: ("type", (BYTES,), False),
    3: ("doc_string", (BYTES,), False),
    4: ("metadata_props", (BYTES,), True),
}
_TYPE: _Table = {1: ("tensor_type", (BYTES,), False), 6: ("denotation", (BYTES,), False)}
_TENSOR_TYPE: _Table = {1: ("elem_type", (VARINT,), False), 2: ("shape", (BYTES,), False)}
_SHAPE: _Table = {1: ("dim", (BYTES,), True)}
_DIMENSION: _Table = {
    1: ("dim_value", (VARINT,), False),
    2: ("dim_param", (BYTES,), False),
    3: ("denotation", (BYTES,), False),
}
_REFUSED = {  # what the fields are that an attack would use
    ("ModelProto", 20): "training information",
    ("ModelProto", 25): "functions",
    ("GraphProto", 15): "sparse weights",
    ("AttributeProto", 6): "a subgraph",
    ("AttributeProto", 11): "subgraphs",
    ("AttributeProto", 22): "a sparse tensor",
    ("AttributeProto", 23): "sparse tensors",
    ("TensorProto", 6): "text in a tensor",
    ("TensorProto", 13): "a tensor whose numbers are in another file (external data)",
}
_ELEMENTS = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 11: "float64", 12: "uint32",
             13: "uint64"}  # fmt: skip
_BOOLEAN = {"And", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"}
_FLOATS = {"float32", "float64"}  # dividing whole numbers by 0 or by -1 can end the process


def read_structure(content: bytes) -> GraphInfo:
    """Check the ONNX file ``content`` and return what it says of itself.

    Raises:
        ValueError: it is not an ONNX file, or holds something that a bundle's graphs do not have.
            The text is one line and names it.
    """
    model = _fields("ModelProto", _MODEL, memoryview(content))
    opsets = [_fields("OperatorSetIdProto", _OPSET, entry) for entry in model["opset_import"]]
    domains = [_text(opset.get("domain", b"")) for opset in opsets]
    for domain in domains:
        if domain not in ("", "ai.onnx"):
            raise ValueError(f"it uses the operators of the domain {domain!a}, expected ONNX's own")
    if len(opsets) != 1:
        raise ValueError(f"it names {len(opsets)} operator sets, expected 1")
    if "graph" not in model:
        raise ValueError("it holds no graph")
    graph = _fields("GraphProto", _GRAPH, model["graph"])
    _check_metadata(graph)
    inputs = tuple(map(_value_info, graph["input"]))
    outputs = tuple(map(_value_info, graph["output"]))
    for unread in graph["value_info"]:
        _fields("ValueInfoProto", _VALUE_INFO, unread)
    types = {value.name: value.dtype for value in inputs}
    if len(types) != len(inputs):
        raise ValueError("it has two inputs of one name")
    for tensor in graph["initializer"]:
        name, dtype = _tensor(tensor)
        _define(types, name, dtype)
    _check_nodes(graph["node"], types)
    for output in outputs:
        if output.name not in types:
            raise ValueError(f"no node computes its output {output.name!a}")
    return GraphInfo(
        int(model.get("ir_version", 0)),
        int(opsets[0].get("version", 0)),
        inputs,
        outputs,
        _check_metadata(model),
    )


def _check_nodes(nodes: Sequence[Bytes], types: dict[str, str]) -> None:
    """Check each node, in order; ``types`` gains the dtype of each tensor that is known.

    The dtypes are followed only as far as a division needs them: "" is an unknown dtype.
    """
    if len(nodes) > MAX_NODES:
        raise ValueError(f"it has {len(nodes):,} nodes, expected at most {MAX_NODES:,}")
    for message in nodes:
        node = _fields("NodeProto", _NODE, message)
        operator = _text(node.get("op_type", b""))
        if _text(node.get("domain", b"")) not in ("", "ai.onnx"):
            raise ValueError(f"its operator {operator!a} is of another domain than ONNX's own")
        if operator not in OPERATORS:
            raise ValueError(f"it uses the operator {operator!a}, which no bundle needs")
        _check_metadata(node)
        made = _check_attributes(operator, node["attribute"])
        given = [_text(name) for name in node["input"]]
        for name in given:
            if name and name not in types:
                raise ValueError(f"a node {operator} reads {name!a}, which nothing before it gives")
        dtypes = [types[name] for name in given if name]
        if operator == "Div" and not _FLOATS.issuperset(dtypes):
            raise ValueError("a node Div divides what may be whole numbers")
        result = _result(operator, made, dtypes)
        for name in map(_text, node["output"]):
            if name:
                _define(types, name, result)


def _result(operator: str, made: str, dtypes: Sequence[str]) -> str:
    """The dtype that a node gives."""
    if operator == "Cast":
        return made
    if operator == "Shape":
        return "int64"
    if operator in _BOOLEAN:
        return "bool"
    return dtypes[-1 if operator == "Where" else 0] if dtypes else ""


def _check_attributes(operator: str, attributes: Iterable[Bytes]) -> str:
    """Check the attributes of a node; returns the dtype that they say it gives, or ""."""
    dtype = ""
    names = set()
    for message in attributes:
        attribute = _fields("AttributeProto", _ATTRIBUTE, message)
        name = _text(attribute.get("name", b""))
        if name in names:
            raise ValueError(f"a node {operator} has two attributes {name!a}")
        names.add(name)
        numbers = [attribute["f"]] if "f" in attribute else []
        for part in [*numbers, *attribute["floats"]]:
            if len(part) % 4 or not all(map(isfinite, unpack(f"<{len(part) // 4}f", part))):
                raise ValueError(f"a node {operator} has an attribute {name!a} that is not finite")
        if "t" in attribute:
            raise ValueError(f"a node {operator} has a tensor for an attribute {name!a}")
        if operator == "Cast" and name == "to":
            dtype = _ELEMENTS.get(attribute.get("i", 0), "")
    return dtype


def _tensor(message: Bytes) -> tuple[str, str]:
    """(name, dtype) of a tensor with finite numbers."""
    tensor = _fields("TensorProto", _TENSOR, message)
    name = _text(tensor.get("name", b""))
    if tensor.get("data_location", 0):
        raise ValueError(f"the numbers of {name!a} are in another file (external data)")
    if not name:
        raise ValueError("a weight has no name")
    try:
        values = parse(message)
    except ValueError as error:
        raise ValueError(f"the weight {name!a} is not a tensor: {error}") from None
    if values.dtype.name not in _ELEMENTS.values():
        raise ValueError(f"the weight {name!a} is {values.dtype.name}, which no bundle needs")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"the weight {name!a} holds NaN or infinity")
    return name, values.dtype.name


def _value_info(message: Bytes) -> TensorSpec:
    value = _fields("ValueInfoProto", _VALUE_INFO, message)
    name = _text(value.get("name", b""))
    kind = _fields("TypeProto", _TYPE, value.get("type", b""))
    tensor = _fields("TypeProto.Tensor", _TENSOR_TYPE, kind.get("tensor_type", b""))
    dtype = _ELEMENTS.get(tensor.get("elem_type", 0), "")
    if not name or not dtype or "shape" not in tensor:
        raise ValueError(f"its input or output {name!a} has no name, no number type or no shape")
    shape = _fields("TensorShapeProto", _SHAPE, tensor["shape"])
    if len(shape["dim"]) > MAX_DIMENSIONS:
        raise ValueError(f"{name!a} has more than {MAX_DIMENSIONS} dimensions")
    return TensorSpec(name, dtype, tuple(map(_dimension, shape["dim"])))


def _dimension(message: Bytes) -> int | str:
    dimension = _fields("TensorShapeProto.Dimension", _DIMENSION, message)
    size: int = dimension.get("dim_value", 0)
    if "dim_param" in dimension:
        return _text(dimension["dim_param"])
    return size if size < 2**63 else size - 2**64


def _define(types: dict[str, str], name: str, dtype: str) -> None:
    if name in types:
        raise ValueError(f"two tensors are called {name!a}")
    types[name] = dtype


def _check_metadata(message: dict[str, Any]) -> dict[str, str]:
    entries = [
        _fields("StringStringEntryProto", _ENTRY, entry) for entry in message["metadata_props"]
    ]
    return {
        _text(entry.get("key", b"")): _text(entry.get("value", b""), any_length=True)
        for entry in entries
    }


def _fields(kind: str, table: _Table, message: Bytes) -> dict[str, Any]:
    """The fields of ``message`` by name: a list for those that may be repeated.

    Raises:
        ValueError: a field is not in ``table``, has another wire type, or occurs twice. The last of
            two would count, or their parts would be joined, and readers differ in which.
    """
    found: dict[str, Any] = {name: [] for name, _, many in table.values() if many}
    for number, wire, value in wire_fields(message):
        if number not in table:
            what = _REFUSED.get((kind, number), f"field {number} of {kind}")
            raise ValueError(f"it holds {what}, which no bundle needs")
        name, wires, many = table[number]
        if wire not in wires:
            raise ValueError(f"{kind}.{name} has wire type {wire}")
        if many:
            found[name].append(value)
        elif name in found:
            raise ValueError(f"{kind}.{name} stands twice")
        else:
            found[name] = value
    return found


def _text(value: Bytes, *, any_length: bool = False) -> str:
    if len(value) > MAX_NAME_LENGTH and not any_length:
        raise ValueError(f"a name is longer than {MAX_NAME_LENGTH} characters")
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise ValueError("a name is not UTF-8 text") from None
