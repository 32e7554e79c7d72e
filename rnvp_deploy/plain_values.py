"""Numbers and text of numpy and PyTorch as Python's own, which a checkpoint may hold."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch

__all__ = ["NotPlain", "make_plain", "plain_record"]

_LEAVES = (type(None), bool, int, float, str, bytes, torch.Tensor)


class NotPlain(ValueError):
    """A record holds a value that a checkpoint cannot hold. The text says which and where."""


def make_plain(description: Any) -> None:
    """Replace the fields of a frozen description by Python's own values, in place.

    A numpy or PyTorch scalar becomes a Python number; a list or an array becomes a tuple. It is
    called in ``__post_init__``, before the values are checked.
    """
    for field in fields(description):
        value = getattr(description, field.name)
        if (found := _plain(value)) is not value:
            object.__setattr__(description, field.name, found)


def plain_record(record: Any, where: str) -> Any:
    """``record`` with its numpy scalars as Python's own values. Tensors stay as they are.

    Args:
        record: Dicts, lists, tuples, numbers, text, None and tensors.
        where: What the record is called, for the message.

    Raises:
        NotPlain: It holds something else.
    """
    if isinstance(record, dict):
        return {
            plain_record(key, f"a key of {where}"): plain_record(value, f"{where}[{key!r}]")
            for key, value in record.items()
        }
    if isinstance(record, list | tuple):
        parts = [plain_record(part, f"{where}[{i}]") for i, part in enumerate(record)]
        return tuple(parts) if isinstance(record, tuple) else parts
    found = record if isinstance(record, torch.Tensor) else _scalar(record)
    if not isinstance(found, _LEAVES):
        advice = "pass its tolist()" if isinstance(found, np.ndarray) else "convert it to these"
        raise NotPlain(
            f"{where} is of type {type(found).__name__}; expected numbers, text, lists, dicts and "
            f"tensors: {advice}"
        )
    return found


def _plain(value: Any) -> Any:
    """The value itself if it is plain already."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        changed = {
            name: found for name, part in parts.items() if (found := _plain(part)) is not part
        }
        return replace(value, **changed) if changed else value
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim:
        value = value.tolist()
    if isinstance(value, list | tuple):
        parts_of = tuple(map(_plain, value))
        same = type(value) is tuple and all(a is b for a, b in zip(parts_of, value, strict=True))
        return value if same else parts_of
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """A scalar of numpy or PyTorch, or of a class derived from Python's, as Python's own."""
    if isinstance(value, np.ndarray | torch.Tensor) and not value.ndim:
        value = value.item()
    if type(value) in _LEAVES:
        return value
    for kinds, make in _MAKE:
        if isinstance(value, kinds):
            return make(value)
    return value


_MAKE: tuple[tuple[tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((bool, np.bool_), bool),
    ((int, np.integer), int),
    ((float, np.floating), float),
    ((str,), str.__str__),
)
