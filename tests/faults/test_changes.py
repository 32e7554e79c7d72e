"""A bundle is replaced or removed while a flow of it is loaded."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnvp_runtime
from rnvp_exporters.bundle.page import write_page
from rnvp_runtime import BundleError, Manifest
from tests.js.onnxruntime_web import stand_in
from tests.runtime.conftest import seal

Make = Callable[..., Path]
X = np.zeros((3, 2))


def _other(make_bundle: Make, **options: int) -> Path:
    """Write another bundle, with another id and other bytes in each graph."""
    path = make_bundle("other.rnvp", **options)
    for graph in ("density", "inverse", "sampler"):
        file = path / f"{graph}.onnx"
        file.write_bytes(file.read_bytes() + b"\x32\x01x")  # doc_string
    seal(path, dataclasses.replace(Manifest.read(path), id="f" * 16))
    return path


def _replace(path: Path, by: Path) -> None:
    path.rename(path.with_name("old.rnvp"))
    by.rename(path)


def test_a_bundle_that_is_replaced_before_it_is_used_is_opened_again(make_bundle: Make) -> None:
    """The reader uses the complete new bundle."""
    path = make_bundle()
    flow = rnvp_runtime.load(path)
    _replace(path, _other(make_bundle))
    assert flow.log_prob(X).shape == (3,)
    assert flow.manifest.id == "f" * 16


def test_graphs_of_two_bundles_are_never_mixed(make_bundle: Make) -> None:
    """The error gives both ids and says what to do."""
    path = make_bundle()
    flow = rnvp_runtime.load(path)
    flow.log_prob(X)
    _replace(path, _other(make_bundle))
    with pytest.raises(BundleError, match=r"was replaced since .* was 0123456789abcdef and is fff"):
        flow.inverse(X)


def test_a_replacement_with_other_columns_is_refused(make_bundle: Make) -> None:
    """The caller may have read the old columns, so the new bundle is not used."""
    path = make_bundle()
    flow = rnvp_runtime.load(path)
    _replace(path, _other(make_bundle, dim=3))
    with pytest.raises(BundleError, match="was replaced since it was loaded"):
        flow.log_prob(X)


def test_a_bundle_that_vanishes_is_named_as_such(make_bundle: Make) -> None:
    """The error differs from the one for a bundle that was copied only in part."""
    path = make_bundle()
    flow = rnvp_runtime.load(path)
    shutil.rmtree(path)
    with pytest.raises(BundleError, match=r"was removed or damaged since .*preload=True"):
        flow.log_prob(X)


def test_a_preloaded_flow_needs_no_files(make_bundle: Make) -> None:
    """All methods work after the bundle was removed."""
    path = make_bundle()
    expected = rnvp_runtime.load(path).sample(20, seed=1)
    flow = rnvp_runtime.load(path, preload=True)
    shutil.rmtree(path)
    np.testing.assert_array_equal(flow.sample(20, seed=1), expected)
    assert flow.inverse(flow.forward(X)).shape == X.shape


def test_a_page_of_a_bundle_that_is_replaced_meanwhile_holds_what_was_checked(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file of a bundle is read once. A page gets the bytes whose hashes were compared."""
    path, copyfile = make_bundle(), shutil.copyfile
    density = (path / "density.onnx").read_bytes()

    def replace_first(source: Path, to: Path) -> None:
        (path / "density.onnx").write_bytes(b"another file")
        copyfile(source, to)

    monkeypatch.setattr(shutil, "copyfile", replace_first)
    engine = stand_in(tmp_path / "onnxruntime-web", version="99.0.0")
    write_page(path, tmp_path / "page", onnxruntime_web=engine)
    assert (path / "density.onnx").read_bytes() == b"another file"
    assert (tmp_path / "page" / "model.rnvp" / "density.onnx").read_bytes() == density
