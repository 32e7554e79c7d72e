"""ONNX's ``TensorProto`` files, read and written without onnx.

A bundle's test vectors are stored like ONNX's own backend tests: one serialized ``TensorProto`` in
each file. These of its fields are used:

    1  dims         repeated int64          5  int32_data    7  int64_data
    2  data_type    int32                   9  raw_data, little-endian
    4  float_data                          10  double_data  11  uint64_data

Reference: onnx.proto3 in the ONNX repository.
"""

import struct
from array import array
from itertools import islice
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.bundle.limits import MAX_DIMENSIONS
from rnvp_runtime.bundle.protobuf import Bytes, encoded, fields, varints
from rnvp_runtime.errors import BundleError

__all__ = ["parse", "read", "serialize"]

_DTYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?",
    10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8",
}  # fmt: skip
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_TYPED = {4: "<f4", 10: "<f8"}  # fields of fixed-width numbers
_VARINTS = (5, 7, 11)  # fields of varints: int32_data, int64_data, uint64_data


def read(path: str | PathLike[str]) -> NDArray[Any]:
    """The array in the file at ``path``.

    Raises:
        BundleError: it is missing, or is not a tensor of numbers.
    """
    try:
        return parse(Path(path).read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{path} is missing") from None
    except ValueError as error:
        raise BundleError(f"{path} is not a tensor: {error}") from None


def parse(message: Bytes) -> NDArray[Any]:
    """The array that a serialized ``TensorProto`` holds, in the machine's byte order.

    Raises:
        ValueError: the message is not a tensor of numbers.
    """
    dims: list[int] = []
    kind = 0
    raw: Bytes | None = None
    typed: dict[int, Any] = {}  # field -> its numbers: bytes, or 64 bits each of varints
    for field, value in fields(message):
        if field == _DIMS:
            dims += map(_signed, islice(varints(value), MAX_DIMENSIONS + 1))
            if len(dims) > MAX_DIMENSIONS:
                raise ValueError(f"more than {MAX_DIMENSIONS} dimensions")
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _RAW and not isinstance(value, int):
            raw = value
        elif field in _TYPED and not isinstance(value, int):
            if len(value) % np.dtype(_TYPED[field]).itemsize:
                raise ValueError(f"{len(value)} bytes in field {field}")
            typed.setdefault(field, bytearray()).extend(value)
        elif field in _VARINTS:
            typed.setdefault(field, array("Q")).extend(varints(value))
    if kind not in _DTYPES:
        raise ValueError(f"data type {kind} is not numeric")
    dtype = np.dtype(_DTYPES[kind])
    field = _field_of(dtype)
    if typed.keys() - ({field} if raw is None else set()):
        raise ValueError(f"numbers in a field that {dtype.name} does not use")
    if raw is not None:
        flat = np.frombuffer(raw, dtype)
    elif field in _TYPED:
        flat = np.frombuffer(typed.get(field, b""), _TYPED[field])
    else:
        flat = _from_varints(np.array(typed.get(field, array("Q")), np.uint64), dtype)
    if min(dims, default=0) < 0 or flat.size != prod(dims):
        raise ValueError(f"{flat.size} numbers for shape {tuple(dims)}")
    return flat.reshape(dims).astype(dtype.newbyteorder("="))


def _field_of(dtype: np.dtype[Any]) -> int:
    """The field that holds the numbers of ``dtype`` if they are not raw."""
    fixed = {np.dtype(text): field for field, text in _TYPED.items()}
    wide = {np.dtype("<i8"): 7, np.dtype("<u8"): 11, np.dtype("<u4"): 11}
    return (fixed | wide).get(dtype, 5)


def _from_varints(numbers: NDArray[np.uint64], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype == np.float16:  # stored as its bits
        return numbers.astype(np.uint16).view(dtype)
    return numbers.view(np.int64).astype(dtype)


def serialize(values: NDArray[Any], name: str = "") -> bytes:
    """``values`` as a ``TensorProto`` with ``raw_data``.

    Raises:
        ValueError: ONNX has no such dtype.
    """
    values = np.asarray(values)
    little = values.dtype.newbyteorder("<")
    kind = next((k for k, text in _DTYPES.items() if np.dtype(text) == little), None)
    if kind is None:
        raise ValueError(f"dtype {values.dtype} is not one of a tensor of numbers")
    named = [(_NAME, name.encode())] if name else []
    parts = [(_DIMS, n) for n in values.shape]
    parts += [(_TYPE, kind), *named, (_RAW, values.astype(little).tobytes())]
    return b"".join(encoded(field, value) for field, value in parts)


def _signed(bits: int) -> int:
    return int(struct.unpack("<q", struct.pack("<Q", bits))[0])
