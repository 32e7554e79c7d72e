"""JSON that means the same to every reader.

Python's parser keeps the last of two equal keys, reads ``1e999`` as infinity, and accepts NaN and
lone surrogates. Other parsers treat these cases in other ways. This parser refuses such a text.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

from rnvp_runtime.bundle.limits import MAX_JSON_DEPTH

__all__ = ["parse_json"]

_DIGITS = 19  # of 2**63 - 1


def parse_json(text: str) -> Any:
    """The value that ``text`` holds.

    Raises:
        ValueError: it is not JSON, or is nested more than `MAX_JSON_DEPTH` deep, repeats a key, or
            holds NaN, a number beyond float64 or int64, or a lone surrogate.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_finite,
            object_pairs_hook=_distinct,
        )
    except RecursionError:
        raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep") from None
    _check_depth(value)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair") from None
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= _DIGITS + 1 else None
    if value is None or not -(2**63) <= value < 2**63:
        raise ValueError(f"the number {digits[:24]} does not fit 64 bits")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:24]} does not fit a float64")
    return value


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:40]!a} stands twice in one object")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if any(isinstance(inner, dict | list) for inner in level):
        raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep")
