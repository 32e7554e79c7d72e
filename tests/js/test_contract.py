"""The outputs of a graph are checked on every run. Wrong shapes and dtypes are refused.

The faults are put into ONNX files, so onnxruntime runs them. Both engines use the same check.
"""

import hashlib
import json
import shutil
from pathlib import Path

import onnx
import pytest
from driving import JavaScriptError
from onnx import TensorProto, helper

SCORE = """
const flow = await load(args.source, { engine: "onnxruntime" });
return flow.logProb([[0, 0], [1, 1], [2, 2]]);
"""
FAULTS = {
    "the first row only": ("log_prob", "first_row", "(1,), expected float32 (3,)"),
    "a column": ("log_prob", "column", "(3, 1), expected float32 (3,)"),
    "one number": ("log_prob", "scalar", "(), expected float32 (3,)"),
    "rows too few": ("z", "first_row", "(1, 2), expected float32 (3, 2)"),
    "rows too many": ("z", "twice", "(6, 2), expected float32 (3, 2)"),
    "another width": ("z", "wide", "(3, 4), expected float32 (3, 2)"),
    "turned": ("z", "transposed", "(2, 3), expected float32 (3, 2)"),
}


@pytest.fixture
def own(site, root):
    target = root / "contract"
    shutil.copytree(site("unconditional"), target)
    yield target
    shutil.rmtree(target)


@pytest.mark.parametrize(("output", "change", "told"), FAULTS.values(), ids=FAULTS)
def test_an_output_of_another_shape_is_refused(place, own, output, change, told) -> None:
    """The hashes and the declared shape are correct, so only the check of outputs can find it.

    onnxruntime may find it first, from the number of dimensions or when it reuses a buffer.
    """
    rewrite(own / "model.rnvp", output, change)
    with pytest.raises(JavaScriptError) as caught:
        place.run(SCORE, own)
    returned = f"density.onnx returns {output} as float32 {told}"
    said = {
        "BundleError": (returned, "onnxruntime cannot open density.onnx"),
        "EngineError": ("onnxruntime fails to run density.onnx",),
    }
    assert any(words in caught.value.message for words in said[caught.value.name])


@pytest.mark.parametrize("change", ["int64", "double"])
def test_an_output_of_another_dtype_is_refused(driver, own, change: str) -> None:
    """The graph is refused before it is opened."""
    rewrite(own / "model.rnvp", "log_prob", change)
    with pytest.raises(JavaScriptError, match=r"BundleError: density\.onnx has the outputs "):
        driver.run(SCORE, source=str(own / "model.rnvp"))


def test_every_run_is_checked_not_only_the_first(driver, own) -> None:
    """A graph may be correct for one row and wrong for several."""
    rewrite(own / "model.rnvp", "log_prob", "first_row")
    found = driver.run(
        """
        const flow = await load(args.source, { engine: "onnxruntime" });
        const one = await flow.logProb([[0, 0]]);
        const two = await flow.logProb([[0, 0], [1, 1]]).catch((error) => error.name);
        return [one.length, two];
        """,
        source=str(own / "model.rnvp"),
    )
    assert found == [1, "BundleError"]


def test_a_graph_without_the_output_is_refused(driver, own) -> None:
    """A density graph that lacks the output z is refused with a BundleError."""
    path = own / "model.rnvp" / "density.onnx"
    model = onnx.load(path)
    del model.graph.output[[o.name for o in model.graph.output].index("z")]
    save(model, own / "model.rnvp")
    with pytest.raises(JavaScriptError, match=r"BundleError: density\.onnx has the outputs"):
        driver.run(SCORE, source=str(own / "model.rnvp"))


@pytest.mark.parametrize("size", [-1, 1])
def test_a_graph_of_another_size_is_refused(place, own, size: int) -> None:
    """An ONNX file that is one byte too short or too long is refused with a BundleError."""
    path = own / "model.rnvp" / "density.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:size] if size < 0 else content + b"\0" * size)
    with pytest.raises(JavaScriptError) as caught:
        place.run(SCORE, own)
    assert caught.value.name == "BundleError"
    assert "density.onnx is not the file that was exported (" in caught.value.message
    assert " bytes" in caught.value.message


def rewrite(bundle: Path, output: str, change: str) -> None:
    """Change one output of the density graph, and correct the manifest's hash."""
    model = onnx.load(bundle / "density.onnx")
    names = [o.name for o in model.graph.output]
    inner = f"{output}_before"
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            if name == output:
                node.output[i] = inner
        for i, name in enumerate(node.input):
            if name == output:
                node.input[i] = inner
    nodes, constants, dtype = changed(change, inner, output)
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants)
    model.graph.output[names.index(output)].type.tensor_type.elem_type = dtype
    save(model, bundle)


def changed(change: str, inner: str, output: str):
    """The nodes and constants that change ``inner`` into ``output``, and the dtype."""

    def int64(name: str, *values: int):
        return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)

    def node(kind: str, *inputs: str, **attributes):
        return helper.make_node(kind, [inner, *inputs], [output], **attributes)

    if change == "first_row":
        constants = [int64("low", 0), int64("high", 1), int64("axis", 0)]
        return [node("Slice", "low", "high", "axis")], constants, TensorProto.FLOAT
    if change == "column":
        return [node("Unsqueeze", "axis")], [int64("axis", 1)], TensorProto.FLOAT
    if change == "int64":
        return [node("Cast", to=TensorProto.INT64)], [], TensorProto.INT64
    if change == "double":
        return [node("Cast", to=TensorProto.DOUBLE)], [], TensorProto.DOUBLE
    if change == "scalar":
        return [node("ReduceSum", keepdims=0)], [], TensorProto.FLOAT
    if change == "twice":
        return [node("Concat", inner, axis=0)], [], TensorProto.FLOAT
    if change == "wide":
        return [node("Concat", inner, axis=1)], [], TensorProto.FLOAT
    assert change == "transposed"
    return [node("Transpose")], [], TensorProto.FLOAT


def save(model: onnx.ModelProto, bundle: Path) -> None:
    content = model.SerializeToString()
    (bundle / "density.onnx").write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest["files"]["density.onnx"] = entry
    (bundle / "manifest.json").write_text(json.dumps(manifest))
