"""A bundle as an MLflow model: loaded by its library, served by its command, called by Spark."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
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

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def frame() -> pd.DataFrame:
    """Rows whose columns are in another order."""
    values = np.random.default_rng(0).normal(size=(50, 3))
    return pd.DataFrame(values, columns=["c0", "x1", "x0"])


def test_the_model_gives_log_prob(
    conditional_bundle: Path, tmp_path: Path, frame: pd.DataFrame
) -> None:
    """Columns are found by name and others are ignored. The model's files hold no pickle."""
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
    """The rows are sent over HTTP as columns and data."""
    save_model(conditional_bundle, tmp_path / "model")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(tmp_path / "model")]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow runs `uvicorn`
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


def test_a_clean_environment(conditional_bundle: Path, tmp_path: Path, frame: pd.DataFrame) -> None:
    """The model's requirements are sufficient, and PyTorch is not one of them."""
    save_model(conditional_bundle, tmp_path / "model")
    python, quiet = (
        clean_python(tmp_path / "environment"),
        ("--quiet", "--disable-pip-version-check"),
    )
    wheel = ("wheel", *quiet, "--no-deps", "--wheel-dir", tmp_path / "wheels", ROOT)
    needs = ("--find-links", tmp_path / "wheels", "-r", tmp_path / "model" / "requirements.txt")
    for arguments in (wheel, ("install", *quiet, *needs)):
        subprocess.run([python, "-m", "pip", *arguments], check=True)
    frame.to_json(tmp_path / "rows.json", orient="split")
    program = (
        "import mlflow, pandas, sys;"
        "model = mlflow.pyfunc.load_model('model');"
        "rows = pandas.read_json('rows.json', orient='split', precise_float=True);"
        "print(*[number.hex() for number in map(float, model.predict(rows))]);"
        "assert 'torch' not in sys.modules"
    )
    clean = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-I", "-c", program],
        env=clean,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = [float.fromhex(number) for number in done.stdout.split()]
    known = rnvp_runtime.load(conditional_bundle).log_prob(
        pd.read_json(tmp_path / "rows.json", orient="split", precise_float=True)
    )
    np.testing.assert_array_equal(np.array(found, np.float32), known)


def clean_python(folder: Path) -> Path:
    """Create an environment in ``folder`` and return its Python."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs a Java runtime")
def test_a_udf_of_spark(conditional_bundle: Path, tmp_path: Path, frame: pd.DataFrame) -> None:
    """Spark calls the model as a function of columns, in two worker processes."""
    pytest.importorskip("pyspark")
    from tests.scale import local_clusters

    save_model(conditional_bundle, tmp_path / "model")
    with local_clusters.spark() as cluster:
        log_prob = mlflow.pyfunc.spark_udf(
            cluster.engine, str(tmp_path / "model"), result_type="float", env_manager="local"
        )
        rows = cluster.engine.createDataFrame(frame.assign(id=range(len(frame)))).repartition(4)
        names = ["x0", "x1", "c0"]
        found = rows.withColumn("log_prob", log_prob(*names)).toPandas().sort_values("id")
    known = rnvp_runtime.load(conditional_bundle).log_prob(frame)
    np.testing.assert_array_equal(found["log_prob"].to_numpy(np.float32), known)
