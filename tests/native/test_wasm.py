"""The engine as WebAssembly in Node gives the numbers of Python's engine, in under 100 KB."""

import importlib.util
import json
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnvp_deploy import RNVPConfig
from rnvp_exporters.native import flow_bin
from rnvp_runtime.native import NativeFlow
from rnvp_runtime.stream import words
from tests.flows import lively

HERE = Path(__file__).parent
JAVASCRIPT = HERE.parents[1] / "runtime" / "js" / "src"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")

FLOWS = {
    "float32": (RNVPConfig(dim=3, hidden=(8, 8), couplings=2), "float32"),
    "float64, given": (RNVPConfig(dim=5, context_dim=2, hidden=(8,), couplings=2), "float64"),
}
Feeds = dict[str, NDArray[Any]]


@pytest.fixture(params=FLOWS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A flow.bin."""
    config, dtype = FLOWS[request.param]
    path = tmp_path / "flow.bin"
    path.write_bytes(flow_bin(lively(config), dtype))  # type: ignore[arg-type]
    return path


def ask(file: Path, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of the driver to the requests."""
    command = ["node", str(HERE / "wasm_driver.mjs"), str(JAVASCRIPT / "native.js"), str(file)]
    lines = "\n".join(map(json.dumps, requests))
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def feed(values: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON; integers as text, since a JSON number has 53 bits."""
    data = [str(v) if values.dtype == np.int64 else float(v) for v in values.ravel()]
    return {"dtype": str(values.dtype), "data": data, "shape": values.shape}


def test_each_graph_gives_pythons_numbers(file: Path) -> None:
    """The numbers agree for one row and for more rows than one call of the library takes."""
    flow = NativeFlow(file.read_bytes(), gradient=True)
    draw = np.random.default_rng(1)
    tolerance = 1e-4 if flow.dtype == np.float32 else 1e-11
    for rows in (1, 4100):
        x, log_prob = flow.sample(-3, 2**40, rows, 0.5, context := _context(flow, rows))
        given = {} if context is None else {"context": feed(context)}
        scalars = {"seed": -3, "start": 2**40, "count": rows}
        feeds = {name: feed(np.array([value])) for name, value in scalars.items()}
        feeds["temperature"] = feed(np.array([0.5], flow.dtype))
        z = draw.standard_normal((rows, flow.dim)).astype(flow.dtype)
        slopes = ["log_prob", "grad_x"] + ["grad_context"] * bool(flow.context_dim)
        answers = ask(
            file,
            {"graph": "sampler", "outputs": ["x", "log_prob"], "feeds": feeds | given},
            {"graph": "density", "outputs": ["z", "log_prob"], "feeds": {"x": feed(x)} | given},
            {"graph": "inverse", "outputs": ["log_prob"], "feeds": {"z": feed(z)} | given},
            {"graph": "gradient", "outputs": slopes, "feeds": {"x": feed(x)} | given},
        )
        wanted = [
            {"x": x, "log_prob": log_prob},
            dict(zip(["z", "log_prob"], flow.forward(x, context, ["z", "log_prob"]), strict=True)),
            {"log_prob": flow.inverse(z, context, ["log_prob"])[0]},
            dict(zip(slopes, flow.gradient(x, context, slopes), strict=True)),
        ]
        for answer, want in zip(answers, wanted, strict=True):
            for name, expected in want.items():
                got = np.array(answer[name], float).reshape(expected.shape)
                unit = 1 + np.abs(expected).max()
                np.testing.assert_allclose(got / unit, expected / unit, rtol=0, atol=tolerance)


def _context(flow: NativeFlow, rows: int) -> NDArray[Any] | None:
    if not flow.context_dim:
        return None
    draw = np.random.default_rng(2)
    return (100 + 20 * draw.standard_normal((rows, flow.context_dim))).astype(flow.dtype)


def test_a_damaged_flow_is_refused(file: Path) -> None:
    """The error has the words of the library. An output that does not exist is refused too."""
    damaged = {"graph": "density", "outputs": ["z"], "feeds": {}, "damage": 8}
    other = {"graph": "density", "outputs": ["x"], "feeds": {}}
    version, output = (answer["error"] for answer in ask(file, damaged, other))
    assert version.startswith("BundleError: flow.bin: format version 254")
    assert output == "BundleError: density has no output x"


def test_the_words_of_the_stream_equal_those_of_python() -> None:
    """The words agree for rows beyond 32 bits and for a negative seed."""
    seed, start, rows, dim = -3, 2**32 - 2, 5, 9
    drawn = words(seed, start, rows, dim)
    blocks = range(drawn.shape[1])
    code = """
        const [, source, text] = process.argv;
        const { NATIVE_WASM } = await import(source);
        const { inflateRawSync } = await import("node:zlib");
        const bytes = inflateRawSync(Buffer.from(NATIVE_WASM, "base64"));
        const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
        const at = exports.__heap_base.value;
        const told = JSON.parse(text).map(([seed, row, block]) => {
          exports.rnvp_stream_words(BigInt.asUintN(64, BigInt(seed)), BigInt(row), block, at);
          return [...new Uint32Array(exports.memory.buffer, at, 4)];
        });
        console.log(JSON.stringify(told));
    """
    asked = [(str(seed), str(start + row), block) for row in range(rows) for block in blocks]
    module = (JAVASCRIPT / "native-wasm.js").as_uri()
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code, "--", module, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = np.array(json.loads(done.stdout), np.uint32).reshape(drawn.shape)
    np.testing.assert_array_equal(found, drawn)


def test_the_module_is_small() -> None:
    """The module has both number types and all graphs, and is small packed and unpacked."""
    module = JAVASCRIPT / "native-wasm.js"
    assert module.stat().st_size < 50_000
    assert len(build_wasm().unpacked(module.read_text(encoding="utf-8"))) < 100_000


def build_wasm() -> ModuleType:
    """The script that compiles the engine."""
    script = HERE.parents[1] / "runtime" / "c" / "build_wasm.py"
    spec = importlib.util.spec_from_file_location("build_wasm", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed")
def test_the_committed_module_is_built_from_these_sources() -> None:
    """The bytes are equal for the version of ziglang that ``build_wasm.py`` names."""
    script = build_wasm()
    if version("ziglang") != script.ZIGLANG:
        pytest.skip(f"this is another ziglang than {script.ZIGLANG}")
    committed = (JAVASCRIPT / "native-wasm.js").read_text(encoding="utf-8")
    assert script.unpacked(committed) == script.build()
