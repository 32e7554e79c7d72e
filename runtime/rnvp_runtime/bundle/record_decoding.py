"""JSON values as frozen dataclasses, each value checked against the type of its field."""

from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

from rnvp_runtime.errors import BundleError

__all__ = ["decode", "short_key", "shown"]

_IN_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def decode(kind: Any, value: Any, where: str = "") -> Any:
    """``value``, as parsed from JSON, as an instance of ``kind``; ``where`` names it in errors.

    Keys that ``kind`` does not have are ignored. A whole number may be written ``2`` or ``2.0``,
    as in JSON Schema.

    Raises:
        BundleError: a key is missing, or a value is of another type.
    """
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if is_dataclass(kind):
        found = _expect(dict, value, where, "an object")
        for field in fields(kind):
            if field.name not in found and field.default is MISSING:
                raise BundleError(f"{_inside(where, field.name)} is missing")
        return kind(  # type: ignore[operator]
            **{
                field.name: decode(field.type, found[field.name], _inside(where, field.name))
                for field in fields(kind)
                if field.name in found
            }
        )
    if get_origin(kind) is tuple:
        found = _expect(list, value, where, "a list")
        item = get_args(kind)[0]
        return tuple(decode(item, v, f"{where}[{i}]") for i, v in enumerate(found))
    if get_origin(kind) is dict:
        found = _expect(dict, value, where, "an object")
        item = get_args(kind)[1]
        return {k: decode(item, v, _inside(where, k)) for k, v in found.items()}
    allowed = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    record = next((option for option in allowed if is_dataclass(option)), None)
    if record is not None and value is not None:
        return decode(record, value, where)
    if type(value) in allowed:
        return value
    if float in allowed and type(value) is int:
        return float(value)
    if int in allowed and type(value) is float and value.is_integer():
        return int(value)
    words = " or ".join(_IN_WORDS.get(t, "null") for t in allowed)
    raise BundleError(f"{where} should be {words}, found {shown(value)}")


def _expect(kind: type, value: Any, where: str, words: str) -> Any:
    if not isinstance(value, kind):
        raise BundleError(f"{where or 'the whole'} should be {words}, found {shown(value)}")
    return value


def _inside(where: str, key: str) -> str:
    return f"{where}.{short_key(key)}" if where else short_key(key)


def short_key(key: str) -> str:
    """A key as errors show it: short, and without control characters."""
    return key[:80] if key.isprintable() else ascii(key[:80])


def shown(value: Any) -> str:
    """A value as errors show it: short, and without control characters."""
    text = repr(value) if not isinstance(value, str) else ascii(value[:60])
    return text if len(text) <= 40 else text[:37] + "..."
