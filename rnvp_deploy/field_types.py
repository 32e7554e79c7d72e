"""Whether the fields of a frozen description have the types that its class declares."""

import types
from dataclasses import fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["find_mistyped"]


def find_mistyped(description: Any) -> str | None:
    """The name of the first field whose value does not have the declared type; None if all have.

    An int is accepted as a float; a bool is accepted as neither. Containers are checked item by
    item.
    """
    hints = _hints(description.__class__)
    for field in fields(description):
        if not _fits(getattr(description, field.name), hints[field.name]):
            return field.name
    return None


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is ...:
            return all(_fits(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    if hint in (int, float):
        known = (int, float) if hint is float else (int,)
        return isinstance(value, known) and not isinstance(value, bool)
    return isinstance(value, hint)
