"""Change the values or the text of a valid manifest."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["mutated_manifests"]

JUNK: tuple[Any, ...] = (
    None, True, False, "", "x", "n", "\n", "\u202e", "é", "0" * 64, "F" * 64, "constructor",
    "__proto__", "log_prob", "grad_context", "float64", "density.onnx", "1.2.3.4.5", "٣.1",
    0, 1, 2, 3, -1, 2.0, 1.5, -0.0, 1e308, 5e-324, 999, 1000, 65_536, 65_537,
    2**30, 2**30 + 1, 2**31 - 1, 2**31, 2**53 - 1, 2**53, 2**63 - 1, -(2**63), 2**63, 1e30,
    [], [1], ["n", 2], [2], [0, 1], [0.0, 0.5, 1.0], [1, 0], {}, {"onnx": "density.onnx"},
)  # fmt: skip
KEYS = (
    "dim", "x", "__proto__", "constructor", "README.MD", "readme.md", "a/b", "a", "A/B", "con",
    "aux.txt", "com0", "a.", "a ", " a", "../x", "/x", "a//b", ".", "./a", ".a", "a\\b", "a:b",
    "straße", "STRASSE", "K", "ſ", "ı", "a\x7fb", "x" * 255, "x" * 256, "MANIFEST.json",
    "density.onnx/x", "toString", "gradient", "density", "onnx",
)  # fmt: skip
TEXTS = ("NaN", "Infinity", "1e999", "-1e999", "\\ud800", "\\ud83d\\ude00", '"dim": 2,', "9" * 19,
         "9" * 18, "-9223372036854775808", "-9223372036854775809", "-0", "1.0", "1E2", "01", "+1",
         ".5", "[" * 20, "]" * 20, "[" * 12 + "]" * 12, '{"a":' * 14 + "1" + "}" * 14, ",",
         "\ufeff", "\u2028", "\t", "\x0b", "/**/", "'", '"', "{", "}", "\\u0064im", "true",
         "null")  # fmt: skip


def mutated_manifests(text: str, times: int, seed: int) -> Iterator[str]:
    """Yield ``times`` texts: two thirds have changed values, one third has changed text."""
    draw = random.Random(seed)
    for i in range(times):
        yield _other_text(text, draw) if i % 3 == 0 else _other_values(text, draw)


def _other_values(text: str, draw: random.Random) -> str:
    found = json.loads(text)
    for _ in range(draw.choice((1, 1, 1, 2))):
        above, key = draw.choice(list(_places(found)))
        change = draw.randrange(6)
        if change == 0:
            del above[key]
        elif change == 1 and isinstance(above, list):
            above.insert(key, copy.deepcopy(above[key]))
        elif change == 2 and isinstance(above, dict):
            above[draw.choice(KEYS)] = above.pop(key)
        elif change == 3 and isinstance(above, dict):
            above[draw.choice(KEYS)] = copy.deepcopy(above[key])
        elif change == 4:
            other, its = draw.choice(list(_places(found)))
            above[key] = copy.deepcopy(other[its])
        else:
            above[key] = draw.choice(JUNK)
    return json.dumps(found, ensure_ascii=draw.random() < 0.5)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value inside ``value``."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _other_text(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    if draw.random() < 0.6:  # in place of a value, or before one
        starts = [i for i in range(len(text) - 2) if text[i : i + 2] == ": "]
        at = draw.choice(starts) + 2
        end = min(i for i in (text.find(",", at), text.find("\n", at)) if i >= 0)
        return text[:at] + draw.choice(TEXTS) + text[draw.choice((at, end)) :]
    if draw.random() < 0.3:
        return text[:at] + text[at + draw.choice((1, 2, 8)) :]
    return text[:at] + draw.choice(TEXTS) + text[at:]
