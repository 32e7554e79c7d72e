"""A bundle gives the eager flow's numbers on whatever versions are installed.

``make test-oldest`` runs this with the oldest versions that are supported, on bundles that the
present exporter wrote; RNVP_BUNDLES is their folder. Without it the bundles are exported here.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

import rnvp_runtime
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.verification import verify
from tests.versions.bundles import KINDS, ROWS, SEED, write

Array = NDArray[Any]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the bundles and what the eager flows give."""
    if given := os.environ.get("RNVP_BUNDLES"):
        return Path(given)
    made = tmp_path_factory.mktemp("bundles")
    write(made)
    return made


each = pytest.mark.parametrize("name", KINDS)


def eager(folder: Path, name: str) -> dict[str, Array]:
    """What the eager float64 flow gave."""
    with np.load(folder / f"{name}.npz") as arrays:
        return dict(arrays)


def hold(got: Array, want: Array, manifest: Manifest, graph: str, output: str) -> None:
    """Hold rows to the error that the manifest permits, 99 rows in 100."""
    parity = manifest.parity_of(graph, output)
    assert parity is not None
    assert got.shape == want.shape
    error = (np.abs(got - want) / np.array(parity.scale).squeeze()).reshape(len(got), -1).max(1)
    assert np.quantile(error, 0.99) <= parity.tolerance


@each
def test_the_bundle_verifies(folder: Path, name: str) -> None:
    """Hashes and test vectors."""
    checks = verify(folder / f"{name}.rnvp")
    assert [check for check in checks if not check.passed] == []


@each
def test_scores_are_eagers(folder: Path, name: str) -> None:
    """log_prob, within what the manifest permits."""
    flow, arrays = rnvp_runtime.load(folder / f"{name}.rnvp"), eager(folder, name)
    got = flow.log_prob(arrays["x"], arrays.get("context"))
    hold(got, arrays["log_prob"], flow.manifest, "density", "log_prob")


@each
def test_samples_are_eagers(folder: Path, name: str) -> None:
    """The rows of a seed, within what the manifest permits."""
    flow, arrays = rnvp_runtime.load(folder / f"{name}.rnvp"), eager(folder, name)
    got = flow.sample(ROWS, seed=SEED, context=arrays.get("context"))
    hold(got, arrays["samples"], flow.manifest, "sampler", "x")


@each
def test_inverse_undoes_forward(folder: Path, name: str) -> None:
    """x, as far as the dtype carries it."""
    flow, arrays = rnvp_runtime.load(folder / f"{name}.rnvp"), eager(folder, name)
    context = arrays.get("context")
    x = flow.inverse(flow.forward(arrays["x"], context), context)
    np.testing.assert_allclose(x, arrays["x"], rtol=0, atol=1e-3)


@each
@pytest.mark.parametrize("graph", ["density", "inverse", "gradient"])
def test_no_rows_give_no_rows(folder: Path, name: str, graph: str) -> None:
    """Also where an app gives them to onnxruntime itself."""
    path = folder / f"{name}.rnvp"
    described = Manifest.read(path).graphs[graph]
    session = onnxruntime.InferenceSession(str(path / f"{graph}.onnx"))
    rows = {i.name: np.zeros((0, int(i.shape[1])), i.dtype) for i in described.inputs}
    assert all(len(output) == 0 for output in session.run(None, rows))
