"""JavaScript refuses faulty bundles and arguments with the same sentences as Python."""

import json
import os
import shutil

import onnx
import pytest
from driving import JavaScriptError

import rnvp_runtime
from tests.faults.bundles import GRAPH_FAULTS, put_graph, sound_bundle

SAMPLE = "const flow = await load(args.source); return (await flow.sample(5, { seed: 1 })).x.shape;"
ONNX = ("load(args.source)", 'load(args.source, { engine: "onnxruntime" })')
SCORE = "const flow = await load(args.source); return flow.logProb([[0, 0]]);"


@pytest.fixture
def own(site, root, request):
    """A copy of a page, which the test may damage."""
    target = root / "spoilt"
    shutil.copytree(site("unconditional"), target)
    yield target
    shutil.rmtree(target)


def refusal(place, code: str, page, error: str = "BundleError") -> str:
    with pytest.raises(JavaScriptError) as caught:
        place.run(code, page)
    assert caught.value.name == error
    return caught.value.message


@pytest.mark.parametrize(("graph", "code"), [("sampler", SAMPLE), ("density", SCORE)])
@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
def test_an_altered_graph_is_refused_as_in_python(
    place, own, graph: str, code: str, engine: str
) -> None:
    """An altered flow.bin is an error, and onnxruntime is not used in its place."""
    path = own / "model.rnvp" / ("flow.bin" if engine == "native" else f"{graph}.onnx")
    code = code if engine == "native" else code.replace(*ONNX)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert "is not the file that was exported (its sha256 differs)" in refusal(place, code, own)
    flow = rnvp_runtime.load(own / "model.rnvp", engine=engine)
    with pytest.raises(rnvp_runtime.BundleError, match="its sha256 differs"):
        flow.sample(1) if graph == "sampler" else flow.log_prob([[0, 0]])


def test_a_graph_that_names_another_file_is_refused(driver, tmp_path) -> None:
    """The hash is correct. Without the check, onnxruntime-node would read the other file."""
    bundle = sound_bundle(tmp_path)
    model = onnx.load(bundle / "density.onnx")
    GRAPH_FAULTS["external data"][0](model)
    put_graph(bundle, "density", model.SerializeToString())
    with pytest.raises(
        JavaScriptError, match=r"BundleError: density\.onnx is refused.*another file"
    ):
        driver.run(SCORE, source=str(bundle))


def _link(path) -> None:
    path.rename(path.with_suffix(".kept"))
    path.symlink_to(path.with_suffix(".kept"))


def _fifo(path) -> None:
    path.unlink()
    os.mkfifo(path)


def _endless(path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _folder(path) -> None:
    path.unlink()
    path.mkdir()


def _sparse(path) -> None:
    os.truncate(path, 2**31)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("file", ["density.onnx", "manifest.json"])
@pytest.mark.parametrize("harm", [_link, _fifo, _endless, _folder, _sparse])
def test_a_file_that_is_not_regular_is_refused(driver, tmp_path, harm, file: str) -> None:
    """Node refuses the file without waiting for it."""
    bundle = sound_bundle(tmp_path)
    harm(bundle / file)
    with pytest.raises(JavaScriptError, match="BundleError") as caught:
        driver.run(SCORE, source=str(bundle))
    assert file in caught.value.message


def test_a_folder_that_is_a_link_is_refused(driver, tmp_path) -> None:
    """The link may point outside the bundle. The bundle itself may be a link."""
    bundle = sound_bundle(tmp_path)
    graph, manifest = bundle / "density.onnx", json.loads((bundle / "manifest.json").read_text())
    (tmp_path / "elsewhere").mkdir()
    graph.rename(tmp_path / "elsewhere" / graph.name)
    manifest["files"]["inside/density.onnx"] = manifest["files"].pop("density.onnx")
    manifest["graphs"]["density"]["files"]["onnx"] = "inside/density.onnx"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (bundle / "inside").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JavaScriptError, match=r"BundleError.*inside is a symbolic link"):
        driver.run(SCORE, source=str(bundle))
    (bundle / "inside").unlink()
    (tmp_path / "elsewhere").rename(bundle / "inside")
    (tmp_path / "current").symlink_to(bundle)
    driver.run(SCORE, source=str(tmp_path / "current"))


def test_a_missing_graph_is_refused_as_in_python(place, own) -> None:
    """A bundle without flow.bin is refused with Python's advice: copy the whole bundle again."""
    (own / "model.rnvp" / "flow.bin").unlink()
    advice = "has no flow.bin: copy the whole bundle again"
    assert advice in refusal(place, SAMPLE, own)
    with pytest.raises(rnvp_runtime.BundleError, match=advice):
        rnvp_runtime.load(own / "model.rnvp", engine="native").sample(1)


def test_a_folder_without_a_manifest_is_not_a_bundle(place, own) -> None:
    """A folder without manifest.json is refused, and the error says that it is not a bundle."""
    (own / "model.rnvp" / "manifest.json").unlink()
    assert "has no manifest.json, so it is not a bundle" in refusal(place, SAMPLE, own)


def test_an_onnxruntime_that_is_too_old_is_refused(place, own) -> None:
    """A bundle that needs a newer onnxruntime is refused, and the error gives the npm command."""
    change(own, {"min_onnxruntime": "99.1"})
    message = refusal(place, SAMPLE.replace(*ONNX), own)
    assert "is too old, this bundle needs 99.1: npm install onnxruntime-" in message


def test_a_page_without_onnxruntime_says_what_to_install(driver, server, own) -> None:
    """A page without onnxruntime-web gives an EngineError with the npm command."""
    from driving import Place

    shutil.rmtree(own / "onnxruntime-web")
    code = SAMPLE.replace(*ONNX)
    message = refusal(Place(driver, server, "chromium"), code, own, "EngineError")
    assert "npm install onnxruntime-web" in message


def change(page, changes: dict) -> None:
    path = page / "model.rnvp" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


MANIFESTS = {
    "another format": {"format": "zip"},
    "a newer version": {"version": 2},
    "a version in words": {"version": "1"},
    "true for a version": {"version": True},
    "an id of another kind": {"id": "xyz"},
    "no dimension": {"dim": 0},
    "a negative context": {"context_dim": -1},
    "a name too few": {"columns": ["x0"]},
    "a name twice": {"columns": ["x0", "x0"]},
    "names that are numbers": {"columns": [0, 1]},
    "another dtype": {"dtype": "float16"},
    "a version that is none": {"min_onnxruntime": "new"},
    "no sampler": {"graphs": {}},
    "a list for an object": {"files": []},
    "a file outside": {"files": {"../x": {"sha256": "0" * 64, "bytes": 1}}},
    "no flow": {"flow": None},
    "a checkpoint in numbers": {"checkpoint": {"sha256": 7}},
}


@pytest.mark.parametrize("changes", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_is_read_as_strictly_as_in_python(driver, site, tmp_path, changes) -> None:
    """Both refuse it, and their reasons begin with the same words."""
    found = json.loads((site("unconditional") / "model.rnvp" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(found | changes))
    with pytest.raises(rnvp_runtime.BundleError) as python:
        rnvp_runtime.load(tmp_path)
    with pytest.raises(JavaScriptError) as javascript:
        driver.run("return load(args.source);", source=str(tmp_path))
    assert javascript.value.name == "BundleError"
    reason = [str(error).split(": ", 1)[1] for error in (python.value, javascript.value.message)]
    words = [text.partition(", found")[0].partition(": ")[0] for text in reason]
    assert words[0] == words[1]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"format": NaN}'])
def test_a_manifest_that_is_not_an_object_is_refused(driver, tmp_path, text: str) -> None:
    """A manifest that is not a valid JSON object is refused with a BundleError."""
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(JavaScriptError, match="BundleError"):
        driver.run("return load(args.source);", source=str(tmp_path))


INPUTS = {
    "flow.sample(-1)": "n is -1 and start 0: both are at least 0",
    "flow.sample(1, { start: 2n ** 63n })": "their sum at most 2**63 - 1",
    "flow.sample(1.5)": "n is 1.5, expected a whole number",
    "flow.sample(1, { seed: 2n ** 64n })": "does not fit 64 bits: give one from -2**63",
    "flow.sample(1, { seed: 2 ** 60 })": "is past 2**53, where Numbers lose digits: pass a BigInt",
    "flow.sample(1, { seed: 'seven' })": "seed is seven, expected a whole number",
    "flow.sample(1, { temperature: -1 })": "temperature is -1, expected a finite number",
    "flow.sample(1, { temperature: NaN })": "temperature is NaN, expected a finite number",
    "flow.sample(1, { temperature: 1e39 })": "expected a finite number, 0 or more",
    "flow.sample(1, { context: [1] })": "context was given, but the flow takes none",
    "flow.logProb([[1, 2, 3]])": "x[0] has 3 numbers, expected 2",
    "flow.logProb([1, 2])": "x has shape (2,), expected (n, 2): pass [x] for a single row",
    "flow.logProb([[1, '2']])": "x[0][1] is text '2', expected a number",
    "flow.logProb([[1, null]])": "x[0][1] is null, expected a number",
    "flow.logProb(new Float32Array(2))": "x is Float32Array (2,), expected an array of rows",
    "flow.logProb()": "x is undefined, expected an array of rows",
    "flow.logProb({ data: [1, 2, 3], shape: [1, 3] })": "x has shape (1, 3) and 3 numbers",
    "flow.logProb({ data: [1, 2, 3], shape: [1, 2] })": "x has shape (1, 2) and 3 numbers",
    "flow.logProb({ data: [1, '2'], shape: [1, 2] })": "x.data[1] is text '2', expected a number",
    "flow.logProb({ data: BigInt64Array.of(1n, 2n), shape: [1, 2] })": "x.data holds BigInts",
    "load(args.source, { threads: 0 })": "threads is 0, expected at least 1",
    "load(7)": "load takes a URL, a path, or the files of a bundle",
}


@pytest.mark.parametrize(("call", "reason"), INPUTS.items())
def test_numbers_that_do_not_fit_are_refused(driver, site, call: str, reason: str) -> None:
    """An invalid argument of sample, logProb or load gives an InputError with the reason."""
    code = f"const flow = await load(args.source); return {call};"
    with pytest.raises(JavaScriptError) as caught:
        driver.run(code, source=str(site("unconditional") / "model.rnvp"))
    assert caught.value.name == "InputError"
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("call", "reason"),
    {
        "flow.sample(3)": "the flow needs context, (n, 2): c0, c1",
        "flow.sample(3, { context: [[1, 2], [3, 4]] })": "context has 2 rows, 3 samples: pass",
        "flow.logProb([[1, 2, 3]], { context: [[1, 2], [3, 4]] })": "context has 2 rows, x has 1",
        "flow.sample(3, { context: [1] })": "context[0] has 1 numbers, expected 2",
    }.items(),
)
def test_a_context_that_does_not_fit_is_refused(driver, site, call: str, reason: str) -> None:
    """A missing context or a context of the wrong shape gives an InputError with the reason."""
    code = f"const flow = await load(args.source); return {call};"
    with pytest.raises(JavaScriptError) as caught:
        driver.run(code, source=str(site("conditional") / "model.rnvp"))
    assert caught.value.name == "InputError"
    assert reason in caught.value.message


def test_files_without_a_manifest_are_not_a_bundle(driver) -> None:
    """load refuses files if none of them is a manifest."""
    with pytest.raises(JavaScriptError, match="none of these files is a manifest"):
        driver.run("return load(new Map([['a.txt', new Uint8Array(1)]]));")


@pytest.mark.parametrize("file", ["manifest.json", "flow.bin"])
def test_a_named_pipe_is_refused_and_not_waited_for(driver, own, file: str) -> None:
    """A named pipe in place of a bundle's file is refused because it is not a regular file."""
    path = own / "model.rnvp" / file
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(JavaScriptError, match=r"BundleError: .* is not a regular file"):
        driver.run(SAMPLE, source=str(own / "model.rnvp"))
    path.unlink()


@pytest.mark.parametrize("file", ["manifest.json", "flow.bin"])
def test_a_file_without_end_is_refused(driver, own, file: str) -> None:
    """A link to /dev/zero in place of a bundle's file is refused because it is a symbolic link."""
    path = own / "model.rnvp" / file
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(JavaScriptError, match=r"BundleError: .* is a symbolic link"):
        driver.run(SAMPLE, source=str(own / "model.rnvp"))


@pytest.mark.parametrize("how", ["path", "url", "files"])
def test_a_manifest_of_more_than_a_mebibyte_is_refused(driver, server, own, how: str) -> None:
    """The reader stops at the limit."""
    path = own / "model.rnvp" / "manifest.json"
    path.write_text(path.read_text() + " " * 2**20)
    source = f"{server}/{own.name}/model.rnvp" if how == "url" else str(own / "model.rnvp")
    code = "return load(args.source);"
    if how == "files":
        code = """
            const { readFile } = await import("node:fs/promises");
            return load({ "manifest.json": await readFile(`${args.source}/manifest.json`) });
        """
    with pytest.raises(JavaScriptError, match=r"BundleError: .*more than 1048576 bytes"):
        driver.run(code, source=source)
