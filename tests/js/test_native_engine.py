"""`load(bundle, {engine: "native"})` computes from flow.bin, and needs no onnxruntime."""

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
    """Samples of a stream, densities, latents and gradients, over several tiles."""
    page = site(kind)
    found = place.run(
        """
        const flow = await load(args.source, { engine: "native", ort: undefined });
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
    """The sources alone, in a folder where no onnxruntime is found."""
    shutil.copytree(SOURCES, tmp_path / "src")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    found = driver.run(
        """
        const own = await import(args.module);
        const flow = await own.load(args.source, { engine: "native" });
        return (await flow.sample(3, { seed: 7 })).x.shape;
        """,
        module=str(tmp_path / "src" / "index.js"),
        source=str(site("unconditional") / "model.rnvp"),
    )
    assert found == [3, 2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ('{ engine: "tensorflow" }', 'no engine "tensorflow": choose from onnxruntime, native'),
        ('{ engine: "native", threads: 2 }', "takes neither ort nor threads: leave them out"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(driver, options: str, told: str) -> None:
    """Before anything is read."""
    with pytest.raises(JavaScriptError, match=told) as caught:
        driver.run(
            f"""
            const own = await import(args.module);
            return own.load("nowhere", {options});
            """,
            module=str(SOURCES / "index.js"),
        )
    assert caught.value.name == "InputError"


def test_a_bundle_without_flow_bin_says_why(driver, site, tmp_path: Path) -> None:
    """In one line, with what the manifest says of it."""
    bundle = tmp_path / "old.rnvp"
    shutil.copytree(site("unconditional") / "model.rnvp", bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    for graph in manifest["graphs"].values():
        del graph["files"]["native"]
    manifest["native_refusal"] = "it has a layer of mine"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(JavaScriptError, match=r"'native', only .* \(it has a layer of mine\)"):
        driver.run(
            """
            const own = await import(args.module);
            return (await own.load(args.source, { engine: "native" })).sample(1);
            """,
            module=str(SOURCES / "index.js"),
            source=str(bundle),
        )
