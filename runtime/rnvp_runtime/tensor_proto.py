"""ONNX's ``TensorProto`` files, read and written without onnx.

A bundle's test vectors are stored as ONNX's own backend tests are: one serialized ``TensorProto``
a file. Of its protobuf message these fields matter here:

    1  dims         repeated int64          5  int32_data    7  int64_data
    2  data_type    int32                   9  raw_data, little-endian
    4  float_data                          10  double_data  11  uint64_data

Reference: onnx.proto3 in the ONNX repository, and the protobuf encoding guide.
"""

import struct
from collections.abc import Iterator
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.errors import BundleError

__all__ = ["parse", "read", "serialize"]

_DTYPES = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?",
    10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8",
}  # fmt: skip
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_TYPED = {4: "<f4", 10: "<f8"}  # fields of fixed-width numbers
_VARINTS = (5, 7, 11)  # fields of varints: int32_data, int64_data, uint64_data
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def read(path: str | PathLike[str]) -> NDArray[Any]:
    """The array in the file at ``path``.

    Raises
    ------
    BundleError
        It is missing, or is not a tensor of numbers.
    """
    try:
        return parse(Path(path).read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{path} is missing") from None
    except ValueError as error:
        raise BundleError(f"{path} is not a tensor: {error}") from None


def parse(message: bytes) -> NDArray[Any]:
    """The array that a serialized ``TensorProto`` holds, in the machine's byte order.

    Raises ValueError for anything else.
    """
    dims: list[int] = []
    kind = 0
    raw: bytes | None = None
    typed: list[Any] = []
    for field, value in _fields(message):
        if field == _DIMS:
            dims += map(_signed, _varints(value))
        elif field == _TYPE and isinstance(value, int):
            kind = value
        elif field == _RAW and isinstance(value, bytes):
            raw = value
        elif field in _TYPED and isinstance(value, bytes):
            typed += np.frombuffer(value, _TYPED[field]).tolist()
        elif field in _VARINTS:
            typed += map(_signed if field != 11 else int, _varints(value))
    if kind not in _DTYPES:
        raise ValueError(f"data type {kind} is not of numbers")
    dtype = np.dtype(_DTYPES[kind])
    if raw is not None:
        flat = np.frombuffer(raw, dtype)
    elif dtype.itemsize == 2 and dtype.kind == "f":  # float16 travels as its bits
        flat = np.array(typed, np.uint16).view(dtype)
    else:
        flat = np.array(typed, dtype)
    if flat.size != prod(dims):
        raise ValueError(f"{flat.size} numbers for shape {tuple(dims)}")
    return flat.reshape(dims).astype(dtype.newbyteorder("="))


def serialize(array: NDArray[Any], name: str = "") -> bytes:
    """``array`` as a ``TensorProto`` with ``raw_data``.

    Raises ValueError for a dtype that ONNX does not have.
    """
    array = np.asarray(array)
    little = array.dtype.newbyteorder("<")
    kind = next((k for k, text in _DTYPES.items() if np.dtype(text) == little), None)
    if kind is None:
        raise ValueError(f"dtype {array.dtype} is not one of a tensor of numbers")
    out = b"".join(_tag(_DIMS, _VARINT) + _varint(n) for n in array.shape)
    out += _tag(_TYPE, _VARINT) + _varint(kind)
    for field, content in ((_NAME, name.encode()), (_RAW, array.astype(little).tobytes())):
        if content or field == _RAW:
            out += _tag(field, _BYTES) + _varint(len(content)) + content
    return out


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value): an int for a varint, bytes for all else."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
            continue
        if wire == _BYTES:
            size, at = _read_varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(message):
            raise ValueError("it is cut short")
        yield tag >> 3, message[at : at + size]
        at += size


def _varints(value: int | bytes) -> Iterator[int]:
    """The numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _read_varint(value, at)
        yield number


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """(value, position behind it) of the varint at ``at``: 7 bits a byte, lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it is cut short")
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value & (2**64 - 1), at
    raise ValueError(f"a number at byte {at} has no end")


def _signed(bits: int) -> int:
    return int(struct.unpack("<q", struct.pack("<Q", bits))[0])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _tag(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)
