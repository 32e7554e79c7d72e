"""The part of an ONNX graph that some of its outputs need.

onnxruntime runs every node of a graph, even if a call asks for few outputs. An inverse that is
asked for x alone still sums its log-determinants, which is an eighth of a one-row call. Those nodes
are therefore removed from the file's bytes before it is opened. Of onnx.proto3 this uses

    ModelProto  7 graph        GraphProto  1 node, 12 output
    NodeProto   1 input, 2 output          ValueInfoProto  1 name
"""

from collections.abc import Sequence

from rnvp_runtime.bundle.protobuf import Bytes, encoded, fields, header

__all__ = ["pruned"]

_GRAPH, _NODE, _OUTPUT = 7, 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NAME = 1, 2, 1


def pruned(model: bytes, outputs: Sequence[str]) -> bytes:
    """``model``, a serialized ``ModelProto``, with ``outputs`` alone and the nodes they need.

    Weights and inputs stay, used or not. Graphs inside nodes (``If``, ``Loop``) are ignored; a
    bundle's graphs have none.

    Raises:
        ValueError: ``model`` is not a model.
    """
    names = {name.encode() for name in outputs}
    parts: list[Bytes] = []
    for field, value in fields(memoryview(model)):
        if field == _GRAPH:
            inside = _graph(value, names)
            parts += [header(field, sum(map(len, inside))), *inside]
        else:
            parts += _parts(field, value)
    return b"".join(parts)


def _graph(graph: int | Bytes, outputs: set[bytes]) -> list[Bytes]:
    """The parts of the graph that is left; large ones are views of ``graph``, not copies."""
    needed, kept = set(outputs), []
    # Nodes are in the order in which they can run: backwards, each comes after its readers.
    for field, value in reversed(list(fields(_message(graph)))):
        if field == _NODE:
            if needed.isdisjoint(_strings(value, _NODE_OUTPUT)):
                continue
            needed.update(_strings(value, _NODE_INPUT))
        elif field == _OUTPUT and outputs.isdisjoint(_strings(value, _NAME)):
            continue
        kept.append(_parts(field, value))
    return [part for parts in reversed(kept) for part in parts]


def _parts(field: int, value: int | Bytes) -> list[Bytes]:
    if isinstance(value, int):
        return [encoded(field, value)]
    return [header(field, len(value)), value]


def _strings(message: int | Bytes, field: int) -> list[bytes]:
    return [bytes(_message(value)) for n, value in fields(_message(message)) if n == field]


def _message(value: int | Bytes) -> Bytes:
    if isinstance(value, int):
        raise ValueError("found a number, expected a message")
    return value
