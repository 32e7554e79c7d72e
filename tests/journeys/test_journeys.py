"""Each journey of examples/journeys runs to its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOURNEYS = ROOT / "examples" / "journeys"

pytestmark = pytest.mark.slow


def run(journey: str, *arguments: object, cwd: Path, epochs: int = 3) -> str:
    """Run a script in the environment of the tests, and return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TRAIN_EPOCHS": str(epochs)}
    done = subprocess.run(
        [sys.executable, str(JOURNEYS / f"{journey}.py"), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def physicist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the physicist, after the journey."""
    folder: Path = tmp_path_factory.mktemp("physicist")
    told = run("physicist", folder, cwd=folder)
    assert "The medians differ by at most" in told
    return folder


def test_the_physicist_scans_conditions(physicist: Path) -> None:
    """The table has 8 columns, 2 conditions, and the scores log_prob and quantile."""
    head = (physicist / "scan.csv").read_text().partition("\n")[0].split(",")
    assert head[-4:] == ["energy", "theta", "log_prob", "quantile"]
    assert len(head) == 12


def test_the_web_developer_makes_a_page_of_that_bundle(physicist: Path, tmp_path: Path) -> None:
    """The page uses the onnxruntime-web that npm installed."""
    modules = ROOT / "runtime" / "js" / "node_modules" / "onnxruntime-web"
    if not modules.is_dir():
        pytest.skip("onnxruntime-web is not installed: see tests/js/setup.sh")
    told = run("web_developer", physicist / "showers.rnvp", tmp_path, cwd=modules.parent)
    assert "is ready for a static host: R-NVP over 8 coordinates given 2" in told


def test_the_engineer_compares_detectors(tmp_path: Path) -> None:
    """One command prints the areas; the flow is better than a guess even after short training."""
    told = run("engineer", cwd=tmp_path, epochs=20)
    areas = dict(line.split() for line in told.splitlines()[2:])
    assert list(areas) == ["flow", "IsolationForest", "LocalOutlierFactor", "GaussianMixture"]
    assert float(areas["flow"]) > 0.8


def test_the_owner_of_a_foreign_model_gets_the_same_densities(tmp_path: Path) -> None:
    """The script itself asserts that they are equal."""
    pytest.importorskip("zuko")
    assert "differ by at most" in run("foreign_model", tmp_path, cwd=tmp_path)
