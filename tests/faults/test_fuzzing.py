"""A short run of the fuzzer with a fixed seed; ``python -m tests.faults`` is the long one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fuzzing import CHECKPOINT, fuzz


@pytest.mark.parametrize("kind", ["manifest", "graph"])
def test_mutated_files_load_or_are_refused(kind: str, make_bundle: Callable[..., Path]) -> None:
    """Each file loads or gives a typed error, in little time and memory."""
    outcomes = fuzz(kind, make_bundle().parent, 300, seed=1)
    assert outcomes["refused"] > 100
    assert outcomes["equal"] > 0


@pytest.mark.parametrize("kind", ["checkpoint", "archive"])
def test_mutated_checkpoints_load_or_are_refused(kind: str, tmp_path: Path) -> None:
    """Each file loads or gives a typed error, and a damaged archive changes no weight."""
    shutil.copy(CHECKPOINT, tmp_path / "model.pt")
    assert fuzz(kind, tmp_path, 60, seed=1)["refused"] > 20
