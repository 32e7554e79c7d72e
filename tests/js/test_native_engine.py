"""`load` uses flow.bin if the bundle has it, and then needs no onnxruntime."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from agreement import agree
from driving import JavaScriptError

import rnvp_runtime
from rnvp_runtime.native import is_available

SOURCES = Path(__file__).parents[2] / "runtime" / "js" / "src"

pytestmark = pytest.mark.skipif(not is_available(), reason="there is no compiled native engine")


@pytest.mark.parametrize("kind", ["unconditional", "double"])
def test_it_gives_pythons_numbers(place, site, kind: str) -> None:
    """Samples, log_prob, latents and gradients agree over several tiles."""
    page = site(kind)
    found = place.run(
        """
        const flow = await load(args.source, { engine: "native" });
        const { x, logProb } = await flow.sample(9000, { seed: -3, start: 5, temperature: 0.5 });
        const { z } = await flow.forward(x);
        const { gradX } = await flow.logProbAndGrad(x);
        await flow.close();
        return { x: x.data, log_prob: logProb, z: z.data, grad_x: gradX.data };
        """,
        page,
    )
    flow = rnvp_runtime.load(page / "model.rnvp", engine="native")
    given = {"seed": -3, "start": 5, "temperature": 0.5}
    x, log_prob = flow.sample(9000, **given, return_log_prob=True)
    rows = found["x"].reshape(x.shape)
    agree(flow, "sampler", "x", rows, x)
    agree(flow, "sampler", "log_prob", found["log_prob"], log_prob)
    agree(flow, "density", "z", found["z"].reshape(x.shape), flow.forward(rows))
    grad_x = flow.log_prob_and_grad(rows)[1]
    agree(flow, "gradient", "grad_x", found["grad_x"].reshape(x.shape), grad_x)


def test_it_needs_no_other_package(driver, site, tmp_path: Path) -> None:
    """The sources run alone in a folder where onnxruntime cannot be found."""
    shutil.copytree(SOURCES, tmp_path / "src")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    found = driver.run(
        """
        const own = await import(args.module);
        const flow = await own.load(args.source);
        return (await flow.sample(3, { seed: 7 })).x.shape;
        """,
        module=str(tmp_path / "src" / "index.js"),
        source=str(site("unconditional") / "model.rnvp"),
    )
    assert found == [3, 2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ('{ engine: "tensorflow" }', 'no engine "tensorflow": choose from native, onnxruntime'),
        ('{ engine: "native", threads: 2 }', "takes neither ort nor threads: leave them out"),
    ],
)
def test_an_impossible_choice_is_refused(driver, options: str, told: str) -> None:
    """The options are refused before any file is read."""
    with pytest.raises(JavaScriptError, match=told) as caught:
        driver.run(
            f"""
            const own = await import(args.module);
            return own.load("nowhere", {options});
            """,
            module=str(SOURCES / "index.js"),
        )
    assert caught.value.name == "InputError"


SERVED = "const flow = await load(args.source, OPTIONS); return (await flow.sample(3)).x.shape;"


@pytest.fixture
def own(site, tmp_path: Path) -> Path:
    """A copy of a bundle, which the test may damage."""
    return Path(shutil.copytree(site("unconditional") / "model.rnvp", tmp_path / "own.rnvp"))


@pytest.mark.parametrize(
    ("options", "engine"),
    [
        ("{}", "flow.bin"),
        ("{ threads: 1 }", "flow.bin"),
        ('{ ort: "/nowhere/" }', "flow.bin"),
        ('{ engine: "native" }', "flow.bin"),
        ('{ engine: "onnxruntime" }', "sampler.onnx"),
        ("{ threads: 2 }", "sampler.onnx"),
        ("{ ort }", "sampler.onnx"),
    ],
)
def test_the_options_choose_the_engine(driver, own: Path, options: str, engine: str) -> None:
    """The file that is read shows the engine: native unless an option needs onnxruntime."""
    for other in {"flow.bin", "sampler.onnx"} - {engine}:
        (own / other).unlink()
    assert driver.run(SERVED.replace("OPTIONS", options), source=str(own)) == [3, 2]
    (own / engine).unlink()
    with pytest.raises(JavaScriptError, match=f"has no {engine}: copy the whole bundle again"):
        driver.run(SERVED.replace("OPTIONS", options), source=str(own))


def test_onnxruntime_serves_a_flow_bin_of_a_later_version(driver, own: Path) -> None:
    """Python does the same. If native is chosen by name, the error gives the version found."""
    content = bytearray((own / "flow.bin").read_bytes())
    content[8] = 2
    (own / "flow.bin").write_bytes(content)
    manifest = json.loads((own / "manifest.json").read_text())
    manifest["files"]["flow.bin"]["sha256"] = hashlib.sha256(content).hexdigest()
    (own / "manifest.json").write_text(json.dumps(manifest))
    assert driver.run(SERVED.replace("OPTIONS", "{}"), source=str(own)) == [3, 2]
    with pytest.raises(JavaScriptError, match=r"BundleError: flow\.bin: format version 2"):
        driver.run(SERVED.replace("OPTIONS", '{ engine: "native" }'), source=str(own))


def test_a_flow_bin_is_read_once_for_all_graphs(driver, own: Path) -> None:
    """Calls that run at the same time share it too."""
    found = driver.run(
        """
        const { rm } = await import("node:fs/promises");
        const flow = await load(args.source);
        const { x } = await flow.sample(3);
        await rm(args.source, { recursive: true });
        const [{ z }, { gradX }] = await Promise.all([flow.forward(x), flow.logProbAndGrad(x)]);
        return [z.shape, gradX.shape];
        """,
        source=str(own),
    )
    assert found == [[3, 2], [3, 2]]


def test_onnxruntime_serves_a_bundle_without_flow_bin(driver, own: Path) -> None:
    """If native is chosen by name, the error gives the reason from the manifest."""
    bundle = own
    manifest = json.loads((bundle / "manifest.json").read_text())
    for graph in manifest["graphs"].values():
        del graph["files"]["native"]
    manifest["native_refusal"] = "it has a layer of mine"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert driver.run(SERVED.replace("OPTIONS", "{}"), source=str(own)) == [3, 2]
    with pytest.raises(JavaScriptError, match=r"'native', only .* \(it has a layer of mine\)"):
        driver.run(
            """
            const own = await import(args.module);
            return (await own.load(args.source, { engine: "native" })).sample(1);
            """,
            module=str(SOURCES / "index.js"),
            source=str(bundle),
        )
