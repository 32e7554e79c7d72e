"""A real table is trained, exported, and run in an environment without PyTorch.

The environment is made by ``pip install .`` with its three dependencies.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import plotnine.data
import pytest
import torch

import rnvp_deploy
from rnvp_exporters.bundle.page import ONNXRUNTIME_WEB, WASM_BUILD
from rnvp_runtime.bundle.manifest import Manifest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COLUMNS = ["carat", "depth", "table", "price", "x", "y", "z"]
ROWS = 100_000


def run(*command: object, cwd: Path) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of executables of an environment with the plain install."""
    folder = tmp_path_factory.mktemp("plain")
    venv.create(folder / "env", with_pip=True)
    bin_folder = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = bin_folder / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "-q", "-c", constraints, ROOT, cwd=folder)
    return bin_folder


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with diamonds.csv, model.pt and model.rnvp, made by the commands."""
    folder = tmp_path_factory.mktemp("road")
    plotnine.data.diamonds.to_csv(folder / "diamonds.csv", index=False)
    here = Path(sys.executable).parent
    options = ("--columns", ",".join(COLUMNS), "--epochs", "3", "--seed", "7")
    run(here / "rnvp-train", "diamonds.csv", "-o", "model.pt", *options, cwd=folder)
    run(here / "rnvp-export", "model.pt", cwd=folder)
    return folder


def test_the_plain_install_has_neither_torch_nor_onnx(plain: Path, tmp_path: Path) -> None:
    """The plain install has three dependencies and their dependencies."""
    code = "import importlib.util as u; print([n for n in ('torch', 'onnx') if u.find_spec(n)])"
    assert run(plain / "python", "-c", code, cwd=tmp_path).strip() == "[]"


def test_samples_without_pytorch_are_those_of_eager(plain: Path, road: Path) -> None:
    """Over 99 % of the rows of rnvp-sample are within the manifest's tolerance of eager float64."""
    run(plain / "rnvp-sample", "model.rnvp", "-n", ROWS, "--seed", 7, "-o", "s.npy", cwd=road)
    x = np.load(road / "s.npy")
    flow = rnvp_deploy.load(road / "model.pt").double()
    want = flow.sample(ROWS, seed=7).numpy()
    parity = Manifest.read(road / "model.rnvp").parity_of("sampler", "x")
    assert parity is not None
    assert x.shape == (ROWS, len(COLUMNS))
    deviation = (np.abs(x - want) / np.array(parity.scale)).max(1)
    assert np.quantile(deviation, 0.99) <= 2 * parity.eager.p99
    assert (deviation <= parity.tolerance).mean() > 0.99  # the tolerance is for the vectors' rows


@torch.no_grad()
def test_scores_without_pytorch_are_those_of_eager(plain: Path, road: Path) -> None:
    """rnvp-score keeps the table and adds a log_prob that agrees with eager float64."""
    run(plain / "rnvp-score", "model.rnvp", "diamonds.csv", "-o", "scored.csv", cwd=road)
    lines = (road / "scored.csv").read_text().splitlines()
    table = (road / "diamonds.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in lines] == table
    log_prob = np.array([float(line.rpartition(",")[2]) for line in lines[1:]])

    flow = rnvp_deploy.load(road / "model.pt").double()
    x = plotnine.data.diamonds[COLUMNS].to_numpy(np.float64)
    want = flow.log_prob(torch.from_numpy(x)).numpy()
    single = rnvp_deploy.load(road / "model.pt").log_prob(torch.from_numpy(x).float()).numpy()
    error, eager = np.abs(log_prob - want), np.abs(single - want)
    assert np.median(error) <= 2 * np.median(eager)
    assert np.quantile(error, 0.99) <= 2 * np.quantile(eager, 0.99)


def test_the_bundle_verifies_without_pytorch(plain: Path, road: Path) -> None:
    """Hashes and test vectors pass on the onnxruntime of that environment."""
    assert "✗" not in run(plain / "rnvp-verify", "model.rnvp", cwd=road)


def test_a_page_is_written_without_pytorch(plain: Path, road: Path) -> None:
    """rnvp-web finds the page and the JavaScript runtime in the installed package."""
    engine = road / "onnxruntime-web"
    (engine / "dist").mkdir(parents=True)
    (engine / "package.json").write_text(f'{{"version": "{ONNXRUNTIME_WEB}"}}')
    for name in WASM_BUILD:
        (engine / "dist" / name).touch()
    run(plain / "rnvp", "web", "model.rnvp", "site", "--onnxruntime-web", engine, cwd=road)
    for name in ("index.html", "rnvp-runtime/src/index.js", "model.rnvp/density.onnx"):
        assert (road / "site" / name).is_file()
