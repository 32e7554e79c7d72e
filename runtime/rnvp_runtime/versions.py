"""The oldest releases that this package runs on, and how versions are compared.

`MIN_ONNXRUNTIME` is the one place for that bound: the exporter, the checks at run time and a test
of the package's metadata read it here.
"""

import re

__all__ = ["MIN_ONNXRUNTIME", "is_older", "newest"]

MIN_ONNXRUNTIME = "1.21"
"""The first onnxruntime that multiplies uint64 numbers, as the sampler graph does."""


def is_older(found: str, minimum: str) -> bool:
    """Whether version ``found`` is older than ``minimum``; suffixes such as ``rc1`` are ignored."""
    return _release(found) < _release(minimum)


def newest(*versions: str) -> str:
    """The newest of ``versions``."""
    return max(versions, key=_release)


def _release(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, leading.group().split("."))) if leading else ()
