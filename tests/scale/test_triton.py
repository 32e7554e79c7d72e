"""The model repository: Triton's protobuf parses it, and onnxruntime runs its graphs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import rnvp_runtime
from rnvp_exporters.bundle.triton import write_triton
from rnvp_exporters.errors import ExportError
from tests.runtime.conftest import make_bundle

__all__ = ["make_bundle"]

GRAPHS = ["density", "gradient", "inverse", "sampler"]


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Path:
    """A bundle with all four graphs and a context."""
    return make_bundle(dim=3, context_dim=1, gradient=True)


@pytest.fixture
def repository(bundle: Path, tmp_path: Path) -> Path:
    """The folder that `write_triton` writes."""
    write_triton(bundle, tmp_path / "repository")
    return tmp_path / "repository"


def config(repository: Path, graph: str) -> Any:
    """Parse config.pbtxt with NVIDIA's definition, for which an unknown field is an error."""
    pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    from google.protobuf import text_format

    return text_format.Parse((repository / graph / "config.pbtxt").read_text(), pb2.ModelConfig())


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_configuration_is_one_of_tritons(repository: Path, bundle: Path, graph: str) -> None:
    """It gives names, types, batching, one thread per call, and a warm-up with correct sizes."""
    found = config(repository, graph)
    manifest = rnvp_runtime.load(bundle).manifest.graphs[graph]
    assert (found.name, found.backend) == (graph, "onnxruntime")
    assert found.max_batch_size == (0 if graph == "sampler" else 65536)
    assert found.HasField("dynamic_batching") == (graph != "sampler")
    assert found.parameters["intra_op_thread_count"].string_value == "1"
    assert [entry.name for entry in found.input] == [spec.name for spec in manifest.inputs]
    assert [entry.name for entry in found.output] == [spec.name for spec in manifest.outputs]
    [warmup] = found.model_warmup
    assert set(warmup.inputs) == {spec.name for spec in manifest.inputs}
    for name, entry in warmup.inputs.items():
        size = {"TYPE_FP32": 4, "TYPE_INT64": 8}[
            type(found.input[0])
            .DESCRIPTOR.fields_by_name["data_type"]
            .enum_type.values_by_number[entry.data_type]
            .name
        ]
        data = (repository / graph / "warmup" / entry.input_data_file).read_bytes()
        assert len(data) == size * int(np.prod(entry.dims)), name


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_shapes_are_those_of_the_graph(repository: Path, graph: str) -> None:
    """Triton adds the batch axis and reshapes. The result must be the ONNX shape."""
    found = config(repository, graph)
    session = onnxruntime.InferenceSession(repository / graph / "1" / "model.onnx")
    tensors = {tensor.name: tensor for tensor in session.get_inputs() + session.get_outputs()}
    for entry in [*found.input, *found.output]:
        dims = list(entry.reshape.shape) if entry.HasField("reshape") else list(entry.dims)
        shape = [-1] * bool(found.max_batch_size) + dims
        expected = [size if isinstance(size, int) else -1 for size in tensors[entry.name].shape]
        assert shape == expected, entry.name


def test_the_warmup_runs(repository: Path, bundle: Path) -> None:
    """The warm-up rows give the library's numbers."""
    flow = rnvp_runtime.load(bundle)
    read = {
        name: np.fromfile(repository / "density" / "warmup" / name, np.float32)[None]
        for name in ("x", "context")
    }
    session = onnxruntime.InferenceSession(repository / "density" / "1" / "model.onnx")
    [found] = session.run(["log_prob"], read)
    np.testing.assert_array_equal(found, flow.log_prob(read["x"], read["context"]))


def test_a_repository_is_replaced_only_by_force(bundle: Path, tmp_path: Path) -> None:
    """Another folder is not replaced, even with force."""
    write_triton(bundle, tmp_path / "repository")
    with pytest.raises(ExportError, match="is there already"):
        write_triton(bundle, tmp_path / "repository")
    assert "density/1/model.onnx" in write_triton(bundle, tmp_path / "repository", force=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ExportError, match="not a Triton model repository"):
        write_triton(bundle, tmp_path / "mine", force=True)
