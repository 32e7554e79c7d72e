"""A short run of the fuzzer, always the same; ``python -m tests.faults`` is the long one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fuzzing import CHECKPOINT, fuzz


@pytest.mark.parametrize("kind", ["manifest", "graph"])
def test_mutated_files_load_or_are_refused(kind: str, make_bundle: Callable[..., Path]) -> None:
    """No other exception, no hang, little memory; no manifest changes the numbers."""
    outcomes = fuzz(kind, make_bundle().parent, 300, seed=1)
    assert outcomes["refused"] > 100
    assert outcomes["equal"] > 0


@pytest.mark.parametrize("kind", ["checkpoint", "archive"])
def test_mutated_checkpoints_load_or_are_refused(kind: str, tmp_path: Path) -> None:
    """Likewise; no damaged archive changes a weight."""
    shutil.copy(CHECKPOINT, tmp_path / "model.pt")
    assert fuzz(kind, tmp_path, 60, seed=1)["refused"] > 20
