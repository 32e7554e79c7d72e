"""A bundle as a model of MLflow: loaded by its library, and served by its command."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rnvp_runtime
from rnvp_runtime.errors import OutputError
from tests.ports import free_port
from tests.runtime.conftest import conditional_bundle

__all__ = ["conditional_bundle"]

mlflow = pytest.importorskip("mlflow")
from rnvp_runtime.mlflow import save_model  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def frame() -> pd.DataFrame:
    """Rows in another order of columns."""
    values = np.random.default_rng(0).normal(size=(50, 3))
    return pd.DataFrame(values, columns=["c0", "x1", "x0"])


def test_the_model_gives_log_prob(
    conditional_bundle: Path, tmp_path: Path, frame: pd.DataFrame
) -> None:
    """By name, the library's numbers; another column is left out; no file of it is a pickle."""
    save_model(conditional_bundle, tmp_path / "model")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    known = rnvp_runtime.load(conditional_bundle).log_prob(frame)
    np.testing.assert_array_equal(model.predict(frame), known)
    np.testing.assert_array_equal(model.predict(frame.assign(other=1.0)), known)
    assert model.metadata.signature.inputs.input_names() == ["x0", "x1", "c0"]
    assert not [p for p in (tmp_path / "model").rglob("*") if p.suffix in (".pkl", ".pickle")]
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(mlflow.exceptions.MlflowException, match="c0"):
        model.predict(frame.drop(columns="c0"))
    with pytest.raises(OutputError, match="is there already"):
        save_model(conditional_bundle, tmp_path / "model")


def test_mlflow_models_serve(conditional_bundle: Path, tmp_path: Path, frame: pd.DataFrame) -> None:
    """Over HTTP, as columns and rows."""
    save_model(conditional_bundle, tmp_path / "model")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(tmp_path / "model")]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it runs `uvicorn`
    environment = {**os.environ, "PATH": path}
    with subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True) as server:
        try:
            deadline = time.monotonic() + 240
            while time.monotonic() < deadline and server.poll() is None:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.5)
            body = json.dumps({"dataframe_split": frame.to_dict(orient="split")}).encode()
            headers = {"Content-Type": "application/json"}
            url = f"http://127.0.0.1:{port}/invocations"
            request = urllib.request.Request(url, body, headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                found = json.load(answer)["predictions"]
        finally:
            os.killpg(server.pid, 15)
    known = rnvp_runtime.load(conditional_bundle).log_prob(frame)
    np.testing.assert_array_equal(np.array(found, np.float32), known)
