"""The part of a graph that some of its outputs need.

onnxruntime runs every node of a graph, whichever outputs a call asks for: asking an inverse for x
alone still sums its log-determinants, an eighth of a one-row call. So those nodes are taken out of
the file's bytes before it is opened. Of onnx.proto3 this takes

    ModelProto  7 graph        GraphProto  1 node, 12 output
    NodeProto   1 input, 2 output          ValueInfoProto  1 name
"""

from collections.abc import Sequence

from rnvp_runtime.bundle.protobuf import encoded, fields

__all__ = ["pruned"]

_GRAPH, _NODE, _OUTPUT = 7, 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NAME = 1, 2, 1


def pruned(model: bytes, outputs: Sequence[str]) -> bytes:
    """``model``, a serialized ``ModelProto``, with ``outputs`` alone and the nodes they need.

    Weights and inputs stay, used or not. Graphs inside nodes (``If``, ``Loop``) are not looked
    into; a bundle's have none. Raises ValueError if it is no model.
    """
    names = {name.encode() for name in outputs}
    return b"".join(
        encoded(field, _graph(value, names) if field == _GRAPH else value)
        for field, value in fields(model)
    )


def _graph(graph: int | bytes, outputs: set[bytes]) -> bytes:
    needed, kept = set(outputs), []
    # Nodes stand in the order in which they can run, so backwards each comes after its readers.
    for field, value in reversed(list(fields(_message(graph)))):
        if field == _NODE:
            if needed.isdisjoint(_strings(value, _NODE_OUTPUT)):
                continue
            needed.update(_strings(value, _NODE_INPUT))
        elif field == _OUTPUT and outputs.isdisjoint(_strings(value, _NAME)):
            continue
        kept.append(encoded(field, value))
    return b"".join(reversed(kept))


def _strings(message: int | bytes, field: int) -> list[bytes]:
    return [_message(value) for number, value in fields(_message(message)) if number == field]


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")
    return value
