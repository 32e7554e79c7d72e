"""Protobuf, the encoding of ONNX files: messages as lists of fields, without protobuf.

Reference: the protobuf encoding guide.
"""

from collections.abc import Iterator
from typing import TypeAlias

__all__ = [
    "BYTES",
    "FIXED32",
    "FIXED64",
    "VARINT",
    "Bytes",
    "encoded",
    "fields",
    "header",
    "varints",
    "wire_fields",
]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types

Bytes: TypeAlias = bytes | memoryview


def fields(message: Bytes) -> Iterator[tuple[int, "int | Bytes"]]:
    """(field number, value) in the order of the message: an int for a varint, else bytes.

    The bytes of a memoryview are views of it, so that a large message is not copied.

    Raises:
        ValueError: the message is cut short, or is not one.
    """
    for number, _, value in wire_fields(message):
        yield number, value


def wire_fields(message: Bytes) -> Iterator[tuple[int, int, "int | Bytes"]]:
    """(field number, wire type, value) in the order of the message; see `fields`."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, wire = tag >> 3, tag & 7
        if not 1 <= number < 1 << 29:
            raise ValueError(f"field number {number} at byte {at}")
        if wire == VARINT:
            value, at = _read_varint(message, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = _read_varint(message, at)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(message):
            raise ValueError("it is cut short")
        yield number, wire, message[at : at + size]
        at += size


def header(field: int, size: int) -> bytes:
    """The bytes that are written before the ``size`` bytes of a field."""
    return _varint(field << 3 | BYTES) + _varint(size)


def encoded(field: int, value: int | bytes) -> bytes:
    """One field: an int as a varint, bytes after their length."""
    if isinstance(value, int):
        return _varint(field << 3 | VARINT) + _varint(value)
    return header(field, len(value)) + value


def varints(value: "int | Bytes") -> Iterator[int]:
    """The numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _read_varint(value, at)
        yield number


def _read_varint(message: Bytes, at: int) -> tuple[int, int]:
    """(value, position after it) of the varint at ``at``: 7 bits a byte, lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it is cut short")
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value & (2**64 - 1), at
    raise ValueError(f"a number at byte {at} has no end")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
