"""Protobuf, the encoding of ONNX files: messages as lists of fields, without protobuf.

Reference: the protobuf encoding guide.
"""

from collections.abc import Iterator

__all__ = ["encoded", "fields", "varints"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) in the order of the message: an int for a varint, else bytes.

    Raises:
        ValueError: the message is cut short, or is not one.
    """
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


def encoded(field: int, value: int | bytes) -> bytes:
    """One field: an int as a varint, bytes after their length."""
    if isinstance(value, int):
        return _varint(field << 3 | _VARINT) + _varint(value)
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def varints(value: int | bytes) -> Iterator[int]:
    """The numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _read_varint(value, at)
        yield number


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
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
