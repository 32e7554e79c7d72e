"""An ONNX file that holds more than a flow is refused before an engine opens it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import rnvp_runtime
from rnvp_runtime import BundleError, EngineError
from rnvp_runtime.bundle.verification import verify
from rnvp_runtime.engines import ENGINES
from tests.faults.bundles import GRAPH_FAULTS, copy, put_graph, sound_bundle

X = np.zeros((3, 2))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid bundle. Tests must not change it."""
    return sound_bundle(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("fault", GRAPH_FAULTS)
def test_a_graph_with_a_fault_is_refused(
    fault: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`load` and verification refuse it although its hash is correct, and no engine opens it."""
    bundle = copy(sound, tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("secret.txt").write_bytes(b"8 bytes!")
    alter, said = GRAPH_FAULTS[fault]
    model = onnx.load(bundle / "density.onnx")
    alter(model)
    put_graph(bundle, "density", model.SerializeToString())

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the engine was given the graph")

    monkeypatch.setattr(type(ENGINES["onnxruntime"]), "open", never)
    with pytest.raises(BundleError, match=said) as error:
        rnvp_runtime.load(bundle).log_prob(X)
    assert "\n" not in str(error.value)
    assert any(said in check.detail and not check.passed for check in verify(bundle))


def test_swapped_graphs_are_refused(sound: Path, tmp_path: Path) -> None:
    """The density's file has other inputs and outputs than the manifest gives for the inverse."""
    bundle = copy(sound, tmp_path)
    put_graph(bundle, "inverse", (sound / "density.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"inverse\.onnx has the inputs"):
        rnvp_runtime.load(bundle).inverse(X)


@pytest.mark.parametrize("part", ["graph", "opset"])
def test_a_part_that_stands_twice_is_refused(part: str, sound: Path, tmp_path: Path) -> None:
    """Readers differ in which of the two parts they use."""
    bundle = copy(sound, tmp_path)
    model = onnx.load(bundle / "density.onnx")
    if part == "opset":
        model.opset_import.append(helper.make_opsetid("", 18))
    content = model.SerializeToString()
    more = onnx.ModelProto(graph=model.graph).SerializeToString() if part == "graph" else b""
    put_graph(bundle, "density", content + more)
    with pytest.raises(BundleError, match=r"stands twice|2 operator sets"):
        rnvp_runtime.load(bundle).log_prob(X)


def _first_row(model: onnx.ModelProto) -> None:
    for index in (0, 1):
        model.graph.initializer.append(helper.make_tensor(f"at {index}", 7, [1], [index]))
    _end(model, helper.make_node("Slice", ["whole", "at 0", "at 1"], ["log_prob"]))


def _column(model: onnx.ModelProto) -> None:
    _end(model, helper.make_node("Unsqueeze", ["whole", "one"], ["log_prob"]))


def _end(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    model.graph.node[-1].output[0] = "whole"
    model.graph.node.append(node)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.shape.dim.add(dim_param="n")


@pytest.mark.parametrize("alter", [_first_row, _column])
@pytest.mark.parametrize("rows", [3, 20_000])
def test_an_output_of_another_shape_is_refused(
    alter: Any, rows: int, sound: Path, tmp_path: Path
) -> None:
    """Each run is checked. Otherwise numpy would broadcast one row to all rows."""
    bundle = copy(sound, tmp_path)
    model = onnx.load(bundle / "density.onnx")
    alter(model)
    put_graph(bundle, "density", model.SerializeToString())
    with pytest.raises((BundleError, EngineError)):
        rnvp_runtime.load(bundle).log_prob(np.zeros((rows, 2)))
