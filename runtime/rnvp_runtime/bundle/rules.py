"""Rules for one value of a manifest, in the keywords of JSON Schema.

A field's type says what kind of value it holds, a `Rule` which values of that kind:

    dim: Annotated[int, within(1, 65_536)]

``manifest.schema.json`` is generated from the same rules, see
`rnvp_runtime.bundle.manifest_schema`.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

from rnvp_runtime.bundle.record_decoding import short_key, shown
from rnvp_runtime.errors import BundleError

__all__ = ["Rule", "above", "at_least", "check_rules", "matching", "one_of", "parts_of", "within"]

_KEYWORDS: dict[str, Callable[[Any, Any], object]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "enum": lambda value, allowed: value in allowed,
    "maxItems": lambda value, most: len(value) <= most,
    "minItems": lambda value, fewest: len(value) >= fewest,
    "maxLength": lambda value, most: len(value) <= most,
    "maxProperties": lambda value, most: len(value) <= most,
    "pattern": lambda value, pattern: re.fullmatch(pattern, value, re.ASCII),
    "required": lambda value, names: set(names) <= value.keys(),
}


@dataclass(frozen=True)
class Rule:
    """What a value should be, in words and in the keywords of JSON Schema."""

    words: str
    keywords: Mapping[str, Any]

    def allows(self, value: Any) -> bool:
        """Whether ``value``, which is of the field's type, obeys the rule."""
        return all(_KEYWORDS[key](value, limit) for key, limit in self.keywords.items())


def within(low: int, high: int) -> Rule:
    """A number from ``low`` to ``high``."""
    return Rule(f"{low} to {high}", {"minimum": low, "maximum": high})


def at_least(low: float) -> Rule:
    """A number of ``low`` or more."""
    return Rule(f"at least {low}", {"minimum": low})


def above(low: float) -> Rule:
    """A number of more than ``low``."""
    return Rule(f"above {low}", {"exclusiveMinimum": low})


def matching(pattern: str, words: str) -> Rule:
    """Text that matches ``pattern``, which means the same in Python and in ECMAScript."""
    return Rule(words, {"pattern": pattern})


def one_of(*allowed: str) -> Rule:
    """One of a few texts."""
    return Rule(" or ".join(allowed), {"enum": list(allowed)})


def parts_of(kind: Any) -> tuple[Any, tuple[Rule, ...]]:
    """A field's type without its rules, and the rules."""
    if get_origin(kind) is Annotated:
        bare, *rules = get_args(kind)
        return bare, tuple(rules)
    return kind, ()


def check_rules(record: Any) -> None:
    """Check every value of a dataclass, and of the records in it, against its rules.

    Raises:
        BundleError: a value breaks a rule. The text names it and says what it should be.
    """
    for field in fields(record):
        for where, rule, value in _ruled(field.type, getattr(record, field.name), field.name):
            if not rule.allows(value):
                raise BundleError(
                    f"{where} should be {rule.words}, found {shown(value)}; export the bundle again"
                )


def _ruled(kind: Any, value: Any, where: str) -> Iterator[tuple[str, Rule, Any]]:
    """(name, rule, value) of everything in ``value`` that has a rule."""
    kind, rules = parts_of(kind)
    for rule in rules:
        yield where, rule, value
    if isinstance(kind, UnionType):
        kind = type(value)
    if is_dataclass(kind):
        for field in fields(kind):
            inner = getattr(value, field.name)
            yield from _ruled(field.type, inner, f"{where}.{field.name}")
    elif get_origin(kind) is tuple:
        for i, item in enumerate(value):
            yield from _ruled(get_args(kind)[0], item, f"{where}[{i}]")
    elif get_origin(kind) is dict:
        key_kind, item_kind = get_args(kind)
        for key, item in value.items():
            for rule in parts_of(key_kind)[1]:
                yield f"a name of {where}", rule, key
            yield from _ruled(item_kind, item, f"{where}.{short_key(key)}")
