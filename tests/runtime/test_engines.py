"""Engines: what they open, which providers they use, and the errors for a wrong choice."""

import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime import BundleError, EngineError, InputError, Manifest
from rnvp_runtime.bundle.graph_file import read_graph
from rnvp_runtime.bundle.sources import open_source
from rnvp_runtime.engines import ENGINES, OpenOptions, Signature
from rnvp_runtime.engines.onnxruntime_engine import OnnxRuntime
from rnvp_runtime.versions import MIN_ONNXRUNTIME

X = np.array([[0.5, -1.0], [2.0, 3.0], [-4.0, 1.5]], np.float32)
CPU = "CPUExecutionProvider"


@pytest.fixture(params=[name for name, engine in ENGINES.items() if engine.format == "onnx"])
def engine(request: pytest.FixtureRequest) -> str:
    """Run the test with each installed engine for ONNX files."""
    name: str = request.param
    if name != "onnxruntime":
        pytest.importorskip(name)
    return name


def test_an_engine_computes_the_outputs_asked_for(engine: str, bundle: Path, affine: Any) -> None:
    """The outputs are in the requested order, without others."""
    manifest, chosen = Manifest.read(bundle), ENGINES[engine]
    content = read_graph(open_source(bundle), manifest, "density", chosen.format)
    run = chosen.open(content, ["z", "log_prob"], signature=Signature.of(manifest, "density"))
    z, log_prob = run({"x": X})
    np.testing.assert_allclose(z, affine().z(X), rtol=1e-5)
    np.testing.assert_allclose(log_prob, affine().log_prob(X), rtol=1e-5)


def test_a_flow_runs_on_any_engine(engine: str, bundle: Path) -> None:
    """All methods agree with onnxruntime, also in tiles over threads."""
    flow, reference = rnvp_runtime.load(bundle, engine=engine, threads=2), rnvp_runtime.load(bundle)
    x = np.random.default_rng(0).normal(size=(20_000, 2))
    np.testing.assert_allclose(flow.log_prob(x), reference.log_prob(x), rtol=1e-4)
    np.testing.assert_allclose(flow.inverse(x), reference.inverse(x), rtol=1e-4, atol=1e-6)


def test_ctrl_c_is_an_interrupt_after_a_flow_was_released(engine: str, bundle: Path) -> None:
    """No engine leaves anything behind that ends the process at the next SIGINT."""
    code = f"""
import signal, rnvp_runtime
flow = rnvp_runtime.load({str(bundle)!r}, engine={engine!r}, threads=2)
flow.log_prob([[0.5, 1.0]] * 20_000)
flow.close()
del flow
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.stdout == "interrupted\n"


def test_samples_never_come_from_a_sampler_that_is_known_to_be_wrong(
    bundle: Path, affine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """numpy draws the noise and the inverse maps it, which gives the same stream."""
    monkeypatch.setitem(ENGINES, "no uint64", OnnxRuntime(wrong_graphs={"sampler": "it is wrong"}))
    flow = rnvp_runtime.load(bundle, engine="no uint64")
    found = flow.sample(5, seed=7, start=3, temperature=0.5)
    noise = rnvp_runtime.stream.normals(7, 3, 5, 2)
    np.testing.assert_allclose(found, affine().x(0.5 * noise), rtol=1e-5)


def test_an_unknown_engine_is_refused_at_once(bundle: Path) -> None:
    """The error names the engines."""
    with pytest.raises(InputError, match=r"no engine 'tensorflow': choose from onnxruntime, nat"):
        rnvp_runtime.load(bundle, engine="tensorflow")


def test_an_unknown_provider_is_refused_at_once(bundle: Path) -> None:
    """The error names the providers of this onnxruntime."""
    with pytest.raises(InputError, match=rf"has no MyExecutionProvider, it has .*{CPU}"):
        rnvp_runtime.load(bundle, providers=["MyExecutionProvider"])


def test_providers_are_a_list(bundle: Path) -> None:
    """A single name would be read as a list of letters."""
    with pytest.raises(InputError, match=r"expected a list: pass \['CPUExecutionProvider'\]"):
        rnvp_runtime.load(bundle, providers=CPU)


def test_a_provider_may_have_options(bundle: Path) -> None:
    """onnxruntime takes a pair of name and options."""
    flow = rnvp_runtime.load(bundle, providers=[(CPU, {"use_arena": "0"})])
    np.testing.assert_array_equal(flow.log_prob(X), rnvp_runtime.load(bundle).log_prob(X))


def test_a_silent_fallback_is_an_error(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime uses the CPU without an exception if a provider fails to load.

    The test makes onnxruntime list a provider that it does not have, since a real fault needs a
    broken driver.
    """
    onnxruntime = pytest.importorskip("onnxruntime")
    have = [CPU, "CUDAExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: have)
    flow = rnvp_runtime.load(bundle, providers=["CUDAExecutionProvider", CPU])
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(EngineError, match=rf"on {CPU} and not on CUDAExecutionProvider"),
    ):
        flow.log_prob(X)


def test_openvino_takes_no_providers(bundle: Path) -> None:
    """A choice without an effect is refused."""
    pytest.importorskip("openvino")
    with pytest.raises(InputError, match="takes no providers"):
        rnvp_runtime.load(bundle, engine="openvino", providers=[CPU])


def test_pickling_keeps_engine_providers_and_threads(engine: str, bundle: Path) -> None:
    """A flow in a worker process uses the same engine, providers and threads."""
    providers = [(CPU, {"use_arena": "0"})] if engine == "onnxruntime" else []
    flow = rnvp_runtime.load(bundle, engine=engine, providers=providers, threads=3)
    again = pickle.loads(pickle.dumps(flow))
    assert (again.engine, again.providers, again.threads) == (engine, tuple(providers), 3)
    np.testing.assert_array_equal(again.log_prob(X), flow.log_prob(X))


def test_a_bundle_without_the_engines_format_says_so(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the formats of the bundle."""
    monkeypatch.setitem(ENGINES, "compiled", OnnxRuntime(format="compiled"))
    with pytest.raises(BundleError, match="no density graph in the format 'compiled', only onnx"):
        rnvp_runtime.load(bundle, engine="compiled").log_prob(X)


@pytest.mark.parametrize("content", [b"not a model", b"\x38\x01", b""], ids=["text", "int", "none"])
def test_bytes_that_are_not_a_graph_are_one_line(content: bytes) -> None:
    """The error names the file."""
    options = OpenOptions(source="density.onnx")
    with pytest.raises(BundleError, match=r"density\.onnx") as error:
        ENGINES["onnxruntime"].open(content, ["z"], options=options)
    assert "\n" not in str(error.value)


def test_an_unreadable_graph_is_a_bundle_error(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error gives the system's reason, and no OSError is raised."""

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    manifest = Manifest.read(bundle)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BundleError, match=r"density\.onnx cannot be read: Permission denied"):
        read_graph(open_source(bundle), manifest, "density", "onnx")


def test_the_metadata_states_the_same_oldest_onnxruntime() -> None:
    """`MIN_ONNXRUNTIME` is the source, and pip reads the package's metadata."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f"onnxruntime>={MIN_ONNXRUNTIME}" in tomllib.loads(text)["project"]["dependencies"]


def _python(code: str, *args: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("given", "found"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_telemetry_is_off_unless_the_user_sets_it(
    bundle: Path, given: dict[str, str], found: str
) -> None:
    """onnxruntime reads the variable when it is imported."""
    code = """
import os, sys, rnvp_runtime
os.environ.pop("ORT_DISABLE_TELEMETRY") if sys.argv[2] == "unset" else None
rnvp_runtime.load(sys.argv[1]).log_prob([[1, 2]])
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""
    kind = "set" if given else "unset"
    done = _python(code, bundle, kind, **{"ORT_DISABLE_TELEMETRY": "1", **given})
    assert done.stdout.strip() == found, done.stderr


def test_onnxruntime_is_whole_in_every_thread(tmp_path: Path) -> None:
    """A thread waits until another one has imported it, and standard error is the same after."""
    (tmp_path / "onnxruntime.py").write_text("import time\ntime.sleep(0.5)\nwhole = True\n")
    code = """
import sys, threading
from rnvp_runtime.engines.onnxruntime_engine import import_onnxruntime
before, found = sys.stderr, []
def use():
    found.append(hasattr(import_onnxruntime(), "whole"))
threads = [threading.Thread(target=use) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(found == [True] * 4, sys.stderr is before)
"""
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = _python(code, PYTHONPATH=path)
    assert done.stdout.strip() == "True True", done.stderr


@pytest.mark.parametrize(
    "broken",
    [
        "raise ImportError('numpy.core.multiarray failed to import')",
        "import sys; sys.stderr.write('\\nbuilt for numpy 1\\ntraceback\\n'); raise ImportError",
        "raise AttributeError('_ARRAY_API not found')",
        "import onnxruntime_has_no_such_part",
    ],
)
def test_an_onnxruntime_that_fails_to_import_is_one_line(
    bundle: Path, tmp_path: Path, broken: str
) -> None:
    """There is no traceback, for any exception and any output of the import."""
    (tmp_path / "onnxruntime.py").write_text(broken + "\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code = "import sys; from rnvp_runtime.commands.sample import sample; sample(sys.argv[1:])"
    done = _python(code, bundle, "-n", 1, PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: onnxruntime cannot be imported (")
    assert "()" not in done.stderr
    assert done.stderr.count("\n") == 1
