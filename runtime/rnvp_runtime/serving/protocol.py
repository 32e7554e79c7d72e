"""Requests and answers of the Open Inference Protocol, version 2: JSON and binary tensors.

A body is JSON. With the header ``Inference-Header-Content-Length`` only its first bytes are, and
the data of tensors follows them, little-endian and in row-major order, for each tensor that has the
parameter ``binary_data_size``.

Reference: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol and
Triton's extension "Binary Tensor Data".
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DATATYPES", "Answer", "ProtocolError", "Request", "encode_answer", "parse_request"]

Array = NDArray[Any]

DATATYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
"""The protocol's names of types -> numpy's."""

_NAMES = {numpy: name for name, numpy in DATATYPES.items()}


class ProtocolError(Exception):
    """A request that cannot be answered.

    Attributes:
        status: of HTTP, 400 to 503.
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


_MOST_NUMBERS = 1 << 32  # of a tensor, whatever the limits of this server are


@dataclass(frozen=True)
class Request:
    """The request of a client."""

    id: str | None
    inputs: Mapping[str, Array]
    outputs: Mapping[str, bool] | None  # name -> whether as binary data; None is all outputs
    binary: bool  # of all outputs, where ``outputs`` does not say otherwise


@dataclass(frozen=True)
class Answer:
    """The body of an answer, and the length of its JSON where binary data follows it."""

    body: bytes
    json_bytes: int | None


def parse_request(body: bytes, json_bytes: str | None) -> Request:
    """Read the body of an infer request.

    Args:
        body: all of it.
        json_bytes: the header ``Inference-Header-Content-Length``, if it was sent.

    Raises:
        ProtocolError: it does not follow the protocol. The text says what was expected.
    """
    end = len(body) if json_bytes is None else _length(json_bytes, len(body))
    try:
        content = json.loads(body[:end], parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the body is not JSON: {_shortened(error)}") from None
    if not isinstance(content, dict):
        raise ProtocolError("the body is not a JSON object")
    inputs: dict[str, Array] = {}
    for entry in _objects(content, "inputs", required=True):
        name = _text(entry, "name", "an input")
        if name in inputs:
            raise ProtocolError(f"the input {name!r} is given twice")
        size = _parameters(entry, name).get("binary_data_size")
        if size is None:
            inputs[name] = _from_json(entry, name)
        else:
            inputs[name] = _from_binary(entry, name, body, end, size)
            end += size
    if end != len(body):
        raise ProtocolError(f"{len(body) - end} bytes follow the last tensor")
    return Request(
        _text(content, "id", "the request") if "id" in content else None,
        inputs,
        _outputs(content),
        _flag(content, "the request", "binary_data_output", False),
    )


def encode_answer(
    model: str, version: str, request: Request, outputs: Mapping[str, Array]
) -> Answer:
    """The body with ``outputs``, as JSON or binary data as the request asks.

    Raises:
        ProtocolError: an output for JSON has a number that is not finite.
    """
    entries, blobs = [], []
    for name, array in outputs.items():
        binary = request.binary if request.outputs is None else request.outputs[name]
        entry: dict[str, Any] = {
            "name": name,
            "datatype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
        }
        if binary:
            blobs.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = _finite(name, array).ravel().tolist()
        entries.append(entry)
    head: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": entries}
    if request.id is not None:
        head["id"] = request.id
    text = json.dumps(head, separators=(",", ":")).encode()
    return Answer(b"".join([text, *blobs]), len(text) if blobs else None)


def _finite(name: str, array: Array) -> Array:
    width = math.prod(array.shape[1:])
    bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), width)).all(axis=1))
    if len(bad):
        raise ProtocolError(
            f"{name} of row {bad[0]} is not a finite number, which JSON cannot hold: "
            "ask for binary data",
            422,
        )
    return array


def _from_json(entry: Mapping[str, Any], name: str) -> Array:
    dtype, shape = _dtype(entry, name), _shape(entry, name)
    data = entry.get("data")
    if not isinstance(data, list):
        raise ProtocolError(f"the input {name!r} has no data: give a list, or binary_data_size")
    try:
        array = np.array(data)
    except (ValueError, OverflowError, RecursionError):
        raise ProtocolError(f"the data of {name!r} is not an array of numbers") from None
    if array.size and array.dtype.kind not in ("b" if dtype.kind == "b" else "iuf"):
        raise ProtocolError(f"the data of {name!r} is not an array of numbers")
    if array.size != math.prod(shape):
        raise ProtocolError(f"{name!r} has {array.size} numbers, its shape {shape} needs others")
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if array.dtype.kind == "f" or array.min() < limits.min or array.max() > limits.max:
            raise ProtocolError(f"the data of {name!r} does not fit {entry['datatype']}")
    with np.errstate(over="ignore"):
        return array.astype(dtype).reshape(shape)


def _from_binary(entry: Mapping[str, Any], name: str, body: bytes, at: int, size: Any) -> Array:
    dtype, shape = _dtype(entry, name), _shape(entry, name)
    expected = math.prod(shape) * dtype.itemsize
    if not _is_count(size) or size != expected:
        raise ProtocolError(f"{name!r} of shape {shape} takes {expected} bytes, not {size!r}")
    if len(body) - at < size:
        raise ProtocolError(f"the body ends {size - (len(body) - at)} bytes before {name!r} does")
    little = np.frombuffer(body, dtype.newbyteorder("<"), math.prod(shape), at)
    return little.astype(dtype, copy=False).reshape(shape)


def _outputs(content: Mapping[str, Any]) -> Mapping[str, bool] | None:
    if not content.get("outputs"):
        return None
    default = _flag(content, "the request", "binary_data_output", False)
    found: dict[str, bool] = {}
    for entry in _objects(content, "outputs", required=False):
        name = _text(entry, "name", "an output")
        if "classification" in _parameters(entry, name):
            raise ProtocolError("classification is not offered")
        found[name] = _flag(entry, name, "binary_data", default)
    return found


def _dtype(entry: Mapping[str, Any], name: str) -> np.dtype[Any]:
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise ProtocolError(f"the datatype of {name!r} is {datatype!r}, expected FP32, FP64, ...")
    return np.dtype(DATATYPES[datatype])


def _shape(entry: Mapping[str, Any], name: str) -> tuple[int, ...]:
    shape = entry.get("shape")
    if not isinstance(shape, list) or len(shape) > 8 or not all(map(_is_count, shape)):
        raise ProtocolError(f"the shape of {name!r} is not a list of up to 8 counts")
    if math.prod(max(1, axis) for axis in shape) > _MOST_NUMBERS:
        raise ProtocolError(f"the shape of {name!r} is {shape}: no request can hold so many")
    return tuple(shape)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _objects(content: Mapping[str, Any], key: str, *, required: bool) -> Sequence[Any]:
    found = content.get(key, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ProtocolError(f"{key} is not a list of objects")
    if required and not found:
        raise ProtocolError(f"the request has no {key}")
    return found


def _parameters(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get("parameters") or {}
    if not isinstance(found, dict):
        raise ProtocolError(f"the parameters of {name} are not an object")
    return found


def _flag(entry: Mapping[str, Any], of: str, key: str, default: bool) -> bool:
    found = _parameters(entry, of).get(key, default)
    if not isinstance(found, bool):
        raise ProtocolError(f"{key} of {of} is {str(found)[:20]!r}, expected true or false")
    return found


def _text(entry: Mapping[str, Any], key: str, of: str) -> str:
    found = entry.get(key)
    if not isinstance(found, str):
        raise ProtocolError(f"the {key} of {of} is not text")
    return found


def _length(header: str, most: int) -> int:
    if not header.isascii() or not header.isdigit() or len(header) > 12 or int(header) > most:
        raise ProtocolError(
            f"Inference-Header-Content-Length is {header[:20]!r}, expected 0 to {most}, the length "
            "of the body"
        )
    return int(header)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _shortened(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
