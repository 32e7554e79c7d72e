"""Whether the fields of a frozen description have the types that its class declares."""

import types
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["find_mistyped", "refuse_mistyped"]

_WORDS: dict[Any, tuple[str, str]] = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    bool: ("True or False", "True or False"),
    str: ("text", "texts"),
    type(None): ("None", "None"),
}
"""How a type is called in a message, alone and in a tuple."""


def refuse_mistyped(
    description: Any, error: type[Exception], names: Sequence[str] | None = None
) -> None:
    """Raise ``error`` for the first field, of those in ``names``, that is not of its type."""
    if (name := find_mistyped(description, names)) is not None:
        found = " ".join(repr(getattr(description, name)).split())
        expected = _in_words(_hints(description.__class__)[name])
        raise error(f"{name} is {found:.80}; expected {expected}")


def find_mistyped(description: Any, names: Sequence[str] | None = None) -> str | None:
    """The name of the first field whose value does not have the declared type; None if all have.

    An int is accepted as a float; a bool is accepted as neither. Containers are checked item by
    item. ``names``: the fields to check; by default all.
    """
    hints = _hints(description.__class__)
    for field in fields(description):
        if names is not None and field.name not in names:
            continue
        if not _fits(getattr(description, field.name), hints[field.name]):
            return field.name
    return None


def _in_words(hint: Any) -> str:
    """What is expected of a value of type ``hint``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_in_words, arguments))
    if origin is Literal:
        return f"{', '.join(arguments[:-1])} or {arguments[-1]}"
    if origin is tuple:
        return f"a tuple of {_WORDS.get(arguments[0], ('', arguments[0].__name__))[1]}"
    return _WORDS.get(hint, (f"a {getattr(hint, '__name__', hint)}", ""))[0]


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
