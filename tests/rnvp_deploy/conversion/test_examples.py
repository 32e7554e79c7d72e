"""Every example runs, from training to samples."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("from_*.py"))

IN_CI = ("from_freia", "from_tutorial")  # each export of a deep flow takes a minute


def marked(example: Path) -> object:
    """The example, with the mark ``matrix`` unless CI runs it."""
    marks = [] if example.stem in IN_CI else [pytest.mark.matrix]
    return pytest.param(example, marks=marks, id=example.stem)


@pytest.mark.slow
@pytest.mark.parametrize("example", [marked(path) for path in EXAMPLES])
def test_runs(example: Path, tmp_path: Path) -> None:
    """Each example runs and writes a CSV file of 1,000 samples with a header."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TRAIN_STEPS": "300", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, example, tmp_path], check=True, env=environment)
    assert len((tmp_path / "samples.csv").read_text().splitlines()) == 1001
