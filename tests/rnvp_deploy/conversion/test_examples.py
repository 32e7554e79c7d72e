"""Every example runs, from training to samples."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix import in_ci

FOLDER = Path(__file__).parents[3] / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("from_*.py"))

IN_CI = ("from_freia", "from_tutorial")  # each export of a deep flow takes a minute


@pytest.mark.slow
@pytest.mark.parametrize("example", in_ci(EXAMPLES, IN_CI))
def test_runs(example: str, tmp_path: Path) -> None:
    """Each example runs and writes a CSV file of 1,000 samples with a header."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TRAIN_STEPS": "300", "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [sys.executable, FOLDER / f"{example}.py", tmp_path], check=True, env=environment
    )
    assert len((tmp_path / "samples.csv").read_text().splitlines()) == 1001
