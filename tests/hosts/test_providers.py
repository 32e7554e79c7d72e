"""Real execution providers of onnxruntime other than the CPU, where one is installed."""

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import rnvp_runtime
from rnvp_runtime import EngineError, Manifest
from rnvp_runtime.bundle.tensor_proto import read, serialize
from rnvp_runtime.stream import normals
from tests.runtime.conftest import Affine, affine, bundle, make_bundle, seal

__all__ = ["affine", "bundle", "make_bundle"]

OPENVINO = "OpenVINOExecutionProvider"
X = np.array([[0.5, -1.0], [2.0, 3.0]])
pytestmark = pytest.mark.skipif(
    OPENVINO not in onnxruntime.get_available_providers(),
    reason="needs onnxruntime-openvino in place of onnxruntime",
)


def test_openvino_gives_the_numbers_of_the_cpu(bundle: Path, affine: Callable[..., Affine]) -> None:
    """The provider runs the float graphs and numpy draws the noise, also in a pickled copy."""
    flow = rnvp_runtime.load(bundle, providers=[OPENVINO])
    flow = pickle.loads(pickle.dumps(flow))
    assert flow.providers == (OPENVINO,)
    np.testing.assert_allclose(flow.log_prob(X), affine().log_prob(X), rtol=1e-4)
    expected = affine().x(normals(7, 3, 5, 2))
    np.testing.assert_allclose(flow.sample(5, seed=7, start=3), expected, rtol=1e-4)


def test_wrong_numbers_are_found_on_first_use(make_bundle: Callable[..., Path]) -> None:
    """The test vectors run before the first rows. In this test they expect other numbers."""
    path = make_bundle()
    file = path / "tests" / "density" / "test_data_set_0" / "output_0.pb"
    file.write_bytes(serialize(read(file) + np.float32(0.5)))
    seal(path, dataclasses.replace(Manifest.read(path)))
    assert rnvp_runtime.load(path).log_prob(X).shape == (2,)
    with pytest.raises(EngineError, match="wrong numbers for the bundle's own test vectors"):
        rnvp_runtime.load(path, providers=[OPENVINO]).log_prob(X)
