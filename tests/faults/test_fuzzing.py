"""A short run of the fuzzer, always the same; ``python -m tests.faults`` is the long one."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.fuzzing import fuzz


def test_mutated_bundles_load_or_are_refused(make_bundle: Callable[..., Path]) -> None:
    """No other exception; most mutations are refused, and no manifest changes the numbers."""
    outcomes = fuzz(make_bundle(), 400, seed=1)
    assert outcomes["graph refused"] > 100
    assert outcomes["manifest refused"] > 50
    assert outcomes["manifest other"] == 0
