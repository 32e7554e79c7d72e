"""ONNX's ``TensorProto`` files, read and written without onnx.

A bundle's test vectors are stored like ONNX's own backend tests: one serialized ``TensorProto`` in
each file. These of its fields are used:

    1  dims         repeated int64          5  int32_data    7  int64_data
    2  data_type    int32                   9  raw_data, little-endian
    4  float_data                          10  double_data  11  uint64_data

Reference: onnx.proto3 in the ONNX repository.
"""

import struct
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.bundle.protobuf import encoded, fields, varints
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


def parse(message: bytes) -> NDArray[Any]:
    """The array that a serialized ``TensorProto`` holds, in the machine's byte order.

    Raises:
        ValueError: the message is not a tensor of numbers.
    """
    dims: list[int] = []
    kind = 0
    raw: bytes | None = None
    typed: list[Any] = []
    for field, value in fields(message):
        if field == _DIMS:
            dims += map(_signed, varints(value))
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _RAW and isinstance(value, bytes):
            raw = value
        elif field in _TYPED and isinstance(value, bytes):
            typed += np.frombuffer(value, _TYPED[field]).tolist()
        elif field in _VARINTS:
            typed += map(_signed if field != 11 else int, varints(value))
    if kind not in _DTYPES:
        raise ValueError(f"data type {kind} is not numeric")
    dtype = np.dtype(_DTYPES[kind])
    if raw is not None:
        flat = np.frombuffer(raw, dtype)
    elif dtype.itemsize == 2 and dtype.kind == "f":  # float16 is stored as its bits
        flat = np.array(typed, np.uint16).view(dtype)
    else:
        flat = np.array(typed, dtype)
    if flat.size != prod(dims):
        raise ValueError(f"{flat.size} numbers for shape {tuple(dims)}")
    return flat.reshape(dims).astype(dtype.newbyteorder("="))


def serialize(array: NDArray[Any], name: str = "") -> bytes:
    """``array`` as a ``TensorProto`` with ``raw_data``.

    Raises:
        ValueError: ONNX has no such dtype.
    """
    array = np.asarray(array)
    little = array.dtype.newbyteorder("<")
    kind = next((k for k, text in _DTYPES.items() if np.dtype(text) == little), None)
    if kind is None:
        raise ValueError(f"dtype {array.dtype} is not one of a tensor of numbers")
    named = [(_NAME, name.encode())] if name else []
    parts = [(_DIMS, n) for n in array.shape]
    parts += [(_TYPE, kind), *named, (_RAW, array.astype(little).tobytes())]
    return b"".join(encoded(field, value) for field, value in parts)


def _signed(bits: int) -> int:
    return int(struct.unpack("<q", struct.pack("<Q", bits))[0])
