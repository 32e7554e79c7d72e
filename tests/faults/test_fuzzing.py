"""A short run of the fuzzer, always the same; ``python -m tests.faults`` is the long one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fuzzing import fuzz


@pytest.mark.parametrize("kind", ["manifest", "graph"])
def test_mutated_files_load_or_are_refused(kind: str, make_bundle: Callable[..., Path]) -> None:
    """No other exception, no hang, little memory; no manifest changes the numbers."""
    outcomes = fuzz(kind, make_bundle().parent, 300, seed=1)
    assert outcomes["refused"] > 100
    assert outcomes["equal"] > 0
    if kind == "manifest":
        assert outcomes["other"] == 0
