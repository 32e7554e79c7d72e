"""The native engine runs a bundle: the export proves it, and small calls use it by default."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnvp_runtime
from rnvp_exporters.graphs import graph_definitions
from rnvp_exporters.native.proving import prove_native
from rnvp_exporters.proof.probes import probe
from rnvp_exporters.proof.vectors import Vectors, choose_vectors
from rnvp_runtime import BundleError, InputError, Manifest
from rnvp_runtime.bundle.verification import verify
from rnvp_runtime.engines import default
from rnvp_runtime.engines.default import FEW_ROWS
from rnvp_runtime.native import is_available, library
from tests.faults.bundles import put_file
from tests.flows import CONFIGS, lively

pytestmark = pytest.mark.skipif(not is_available(), reason="there is no compiled native engine")

GRAPHS = {
    "density": ("log_prob", "z"),
    "inverse": ("x", "log_prob"),
    "sampler": ("x", "log_prob"),
    "gradient": ("log_prob", "grad_x", "grad_context"),
}


def results(path: Path, engine: str | None, rows: int) -> dict[str, Any]:
    """The result of each method of the bundle's flow."""
    flow, draw = rnvp_runtime.load(path, engine=engine), np.random.default_rng(1)
    z, context = draw.standard_normal((rows, flow.dim)), np.full((rows, 2), 100.0)
    x = rnvp_runtime.load(path, engine="onnxruntime").inverse(z, context)
    return {
        "log_prob": flow.log_prob(x, context),
        "forward": flow.forward(x, context),
        "inverse": flow.inverse(z, context),
        "gradient": np.column_stack(flow.log_prob_and_grad(x, context)),
        "sample": flow.sample(rows, seed=7, context=context),
    }


def without_native(exported: Path, folder: Path) -> Path:
    """The bundle as an older rnvp-deploy wrote it."""
    bundle = folder / "old.rnvp"
    shutil.copytree(exported, bundle)
    (bundle / "flow.bin").unlink()
    found = json.loads((bundle / "manifest.json").read_text())
    del found["files"]["flow.bin"], found["native_refusal"]
    for graph in found["graphs"].values():
        del graph["files"]["native"]
    found["parity"] = [parity for parity in found["parity"] if parity["format"] != "native"]
    (bundle / "manifest.json").write_text(json.dumps(found))
    return bundle


def vectors_of(name: str) -> tuple[Any, dict[str, Vectors]]:
    """A float32 flow, and the vectors of its density."""
    flow = lively(CONFIGS[name]).float()
    density = graph_definitions(flow.dim, flow.context_dim)[0]
    chosen = choose_vectors(flow, probe(flow, density, torch.float32, exact=True))
    return flow, {"density": chosen}


def test_the_manifest_lists_the_file_and_its_parity(exported: Path) -> None:
    """All graphs share one file, each output has a parity record, and there is no refusal."""
    manifest = Manifest.read(exported)
    assert {graph.files["native"] for graph in manifest.graphs.values()} == {"flow.bin"}
    found = [(p.graph, p.output) for p in manifest.parity if p.format == "native"]
    assert found == [(graph, output) for graph, names in GRAPHS.items() for output in names]
    assert manifest.native_refusal is None


def test_rnvp_verify_proves_the_native_engine(exported: Path) -> None:
    """Every output of every graph has a check, and all checks pass."""
    checks = verify(exported, "native")
    assert all(check.passed for check in checks)
    assert len(checks) == 1 + sum(map(len, GRAPHS.values()))


def test_rnvp_verify_runs_every_engine_that_serves_calls(exported: Path, tmp_path: Path) -> None:
    """A wrong weight in ``flow.bin`` fails, since small calls would use it; the hashes are good."""
    assert all(check.passed for check in verify(exported))
    bundle = tmp_path / "model.rnvp"
    shutil.copytree(exported, bundle)
    weights = np.frombuffer((bundle / "flow.bin").read_bytes(), "<f4").copy()
    weights[np.flatnonzero((np.abs(weights) > 1e-3) & (np.abs(weights) < 10))[-10:]] *= 1.5
    put_file(bundle, "flow.bin", weights.tobytes())
    found = [check for check in verify(bundle) if not check.passed]
    assert found
    assert all(check.name.startswith("native ") for check in found)


@pytest.mark.parametrize("rows", [1, FEW_ROWS + 1, 5000])
def test_every_method_gives_onnxruntimes_numbers(exported: Path, rows: int) -> None:
    """The numbers agree for one row, for a block of rows and for many tiles."""
    native, reference = results(exported, "native", rows), results(exported, "onnxruntime", rows)
    for name, expected in reference.items():
        np.testing.assert_allclose(native[name], expected, rtol=2e-3, atol=2e-3, err_msg=name)


def test_small_calls_are_served_by_the_native_engine(exported: Path) -> None:
    """The native engine runs calls of few rows; onnxruntime runs larger calls and all samples."""
    for rows, serves in ((FEW_ROWS, "native"), (FEW_ROWS + 1, "onnxruntime")):
        chosen, expected = results(exported, None, rows), results(exported, serves, rows)
        for name in ("log_prob", "forward", "inverse", "gradient"):
            np.testing.assert_array_equal(chosen[name], expected[name])
        drawn = results(exported, "onnxruntime", rows)["sample"]
        np.testing.assert_array_equal(chosen["sample"], drawn)
    other = results(exported, "onnxruntime", FEW_ROWS)
    small = results(exported, None, FEW_ROWS)
    assert any((small[name] != other[name]).any() for name in other)  # the engines differ


def test_providers_keep_all_calls_on_onnxruntime(exported: Path) -> None:
    """Providers belong to onnxruntime, and the native engine refuses them."""
    manifest = Manifest.read(exported)
    found = default.engine_names(manifest, "density", few_rows=True, providers=["CPU"])
    assert found == ("onnxruntime",)
    with pytest.raises(InputError, match="the engine native takes no providers"):
        rnvp_runtime.load(exported, engine="native", providers=["CPUExecutionProvider"])


def test_a_preloaded_flow_outlives_its_bundle(exported: Path, tmp_path: Path) -> None:
    """preload=True reads the files of both engines into memory."""
    bundle = tmp_path / "model.rnvp"
    shutil.copytree(exported, bundle)
    flow = rnvp_runtime.load(bundle, preload=True)
    shutil.rmtree(bundle)
    x, context = np.zeros((FEW_ROWS + 1, 3)), [100.0, 100.0]
    assert np.isfinite(flow.log_prob(x[:1], context)).all()
    assert np.isfinite(flow.log_prob(x, context)).all()


def test_an_older_bundle_opens(exported: Path, tmp_path: Path) -> None:
    """onnxruntime runs all calls; asking for the native engine gives an error of one line."""
    bundle = without_native(exported, tmp_path)
    old, reference = results(bundle, None, 1), results(exported, "onnxruntime", 1)
    for name, expected in reference.items():
        np.testing.assert_array_equal(old[name], expected)
    with pytest.raises(BundleError, match="no density graph in the format 'native'") as raised:
        rnvp_runtime.load(bundle, engine="native").log_prob(np.zeros((1, 3)), [1, 2])
    assert "\n" not in str(raised.value)
    assert [check.name for check in verify(bundle, "native") if not check.passed] == ["native"]


def test_an_altered_flow_bin_is_an_error(exported: Path, tmp_path: Path) -> None:
    """A small call raises an error, although onnxruntime could run it."""
    bundle = tmp_path / "model.rnvp"
    shutil.copytree(exported, bundle)
    content = bytearray((bundle / "flow.bin").read_bytes())
    content[-5] ^= 1
    (bundle / "flow.bin").write_bytes(content)
    with pytest.raises(BundleError, match=r"flow\.bin is not the file that was exported"):
        rnvp_runtime.load(bundle).log_prob(np.zeros((1, 3)), [1, 2])


def test_a_flow_bin_of_a_later_format_is_not_used(exported: Path, tmp_path: Path) -> None:
    """onnxruntime then runs small calls too; the error of the native engine names the version."""
    bundle = tmp_path / "model.rnvp"
    shutil.copytree(exported, bundle)
    content = bytearray((bundle / "flow.bin").read_bytes())
    content[8] = 2  # the version
    (bundle / "flow.bin").write_bytes(content)
    found = json.loads((bundle / "manifest.json").read_text())
    found["files"]["flow.bin"]["sha256"] = hashlib.sha256(content).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(found))
    expected = results(exported, "onnxruntime", 1)
    np.testing.assert_array_equal(results(bundle, None, 1)["log_prob"], expected["log_prob"])
    with pytest.raises(BundleError, match=r"model\.rnvp/flow\.bin: .* format version 2"):
        rnvp_runtime.load(bundle, engine="native").log_prob(np.zeros((1, 3)), [1, 2])


def test_another_flow_is_not_proved() -> None:
    """If flow.bin fails the proof, it is left out, and the refusal names the output."""
    _, vectors = vectors_of("two coordinates")
    part = prove_native(lively(CONFIGS["two coordinates"], seed=1).float(), "float32", vectors)
    assert (part.content, part.records) == (None, ())
    assert part.refusal is not None
    assert part.refusal.startswith("its native engine failed the proof: density (native): ")
    assert "nothing was published" not in part.refusal


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Hide the compiled library, as in a pure wheel."""
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "librnvp.so")
    library.load_library.cache_clear()
    yield
    library.load_library.cache_clear()


@pytest.mark.usefixtures("no_library")
def test_without_the_library_flow_bin_is_written_and_not_proved() -> None:
    """The export continues, and the manifest says why there is no proof."""
    flow, vectors = vectors_of("two coordinates")
    part = prove_native(flow, "float32", vectors)
    assert part.content is not None
    assert part.records == ()
    assert part.refusal == (
        "flow.bin was not checked, since the installation that exported it has no native engine"
    )


@pytest.mark.usefixtures("no_library")
def test_without_the_library_onnxruntime_serves_all_calls(exported: Path) -> None:
    """The error of the native engine says in one line what to do, and one check of verify fails."""
    served, expected = results(exported, None, 1), results(exported, "onnxruntime", 1)
    for name, value in expected.items():
        np.testing.assert_array_equal(served[name], value)
    with pytest.raises(BundleError, match=r"no native engine.*install a compiler") as raised:
        rnvp_runtime.load(exported, engine="native").log_prob(np.zeros((1, 3)), [1, 2])
    assert "\n" not in str(raised.value)
    assert [check.name for check in verify(exported, "native") if not check.passed] == ["native"]
