"""Verification checks every file and every test vector and gives the size of each error."""

import dataclasses
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime import Manifest
from rnvp_runtime.bundle.manifest import Parity, Precision, Spread
from rnvp_runtime.bundle.sources import open_source
from rnvp_runtime.bundle.tensor_proto import read, serialize
from rnvp_runtime.bundle.verification import Check, check_vectors, read_files, verify
from rnvp_runtime.engines import ENGINES, Run
from rnvp_runtime.engines.onnxruntime_engine import OnnxRuntime

Make = Callable[..., Path]


def vectors_of(bundle: Path, engine: OnnxRuntime) -> list[Check]:
    """Check the test vectors of the bundle."""
    manifest = Manifest.read(bundle)
    _, contents = read_files(open_source(bundle), manifest, manifest.files)
    return check_vectors(contents, manifest, engine)


def precision() -> Precision:
    """A record of a flow that loses nothing."""
    none = Spread(0.0, 0.0, 0.0)
    return Precision(100, 0.0, (), 1.0, none, none, none, None, False, ())


def failed(checks: list[Check]) -> list[str]:
    """The checks that failed, one line each."""
    return [f"{check.name} {check.detail}" for check in checks if not check.passed]


@pytest.mark.parametrize("options", [{}, {"dtype": "float64"}, {"context_dim": 2}, {"dim": 5}])
def test_a_sound_bundle_passes(make_bundle: Make, options: Any) -> None:
    """One check of the files and six of the outputs of three graphs pass."""
    checks = verify(make_bundle(**options))
    assert failed(checks) == []
    assert len(checks) == 7


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: (p / "inverse.onnx").unlink(), "inverse.onnx is missing"),
        (
            lambda p: (p / "README.md").write_text(""),
            "README.md is altered: 0 bytes,",
        ),
        (lambda p: (p / "README.md").write_text("An affine mop.\n"), "its sha256 differs"),
        (lambda p: shutil.rmtree(p / "tests/density"), "input_0.pb is missing"),
    ],
)
def test_harm_to_any_file_is_found(
    make_bundle: Make, harm: Callable[[Path], Any], said: str
) -> None:
    """The check names the file, and the test vectors are not run."""
    path = make_bundle()
    harm(path)
    found = failed(verify(path))
    assert any(said in line for line in found)
    assert found[-1] == "test vectors not run: the files are not as exported"


def test_a_file_too_many_is_named_and_the_vectors_run_all_the_same(make_bundle: Make) -> None:
    """A file of somebody is reported, and the vectors are still checked."""
    path = make_bundle()
    (path / "notes.txt").write_text("x")
    checks = verify(path)
    assert failed(checks) == ["notes.txt is not part of the bundle"]
    assert sum(check.passed for check in checks) == 6


ADDED = [
    *(".DS_Store", "tests/.DS_Store", "Thumbs.db", "tests/density/desktop.ini", "Desktop.ini"),
    *("._density.onnx", "tests/._density", "__MACOSX/._manifest.json", "__MACOSX/m/tests/._x"),
]


@pytest.mark.parametrize("packed", ["folder", "zip", "zip of a folder"])
def test_what_a_system_adds_is_not_read_and_is_no_fault(make_bundle: Make, packed: str) -> None:
    """macOS and Windows add such files when a folder is looked at, copied or packed."""
    path = make_bundle()
    top = f"{path.name}/" if packed == "zip of a folder" else ""
    if packed == "folder":
        for name in ADDED:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text("x")
    else:
        base = ("." if not top else path.name, path if not top else path.parent)
        path = Path(shutil.make_archive(f"{path}.packed", "zip", base[1], base[0]))
        with zipfile.ZipFile(path, "a") as archive:
            for name in ADDED:
                archive.writestr(name if name.startswith("__MACOSX") else top + name, "x")
    assert failed(verify(path)) == []
    assert rnvp_runtime.load(path).log_prob([[0.0, 0.0]]).shape == (1,)


@pytest.mark.parametrize("name", ["DS_Store", "x.DS_Store", "__MACOSX", "thumbs.dbx", ".hidden"])
def test_other_names_are_a_fault(make_bundle: Make, name: str) -> None:
    """Only the names that a system gives are passed over."""
    path = make_bundle()
    (path / name).write_text("x")
    assert failed(verify(path)) == [f"{name} is not part of the bundle"]


def test_an_engine_that_computes_wrong_numbers_is_found(bundle: Path) -> None:
    """The message gives the error relative to the tolerance, its position and both numbers."""

    class WrongDensity(OnnxRuntime):
        def open(self, content: bytes, outputs: Any, **given: Any) -> Run:
            run = super().open(content, outputs, **given)

            def wrong(inputs: Any) -> list[Any]:
                found = [output.copy() for output in run(inputs)]
                if given["signature"].graph == "density":
                    found[1][2, 1] += 5e-4
                return found

            return wrong

    found = failed(vectors_of(bundle, WrongDensity()))
    assert len(found) == 1
    assert found[0].startswith(
        "density z 5 times the permitted error: test_data_set_0 [2, 1]: found"
    )


def test_an_engine_that_fails_is_a_finding(bundle: Path) -> None:
    """Any exception of the engine becomes a failed check of that graph."""

    class Broken(OnnxRuntime):
        def open(self, content: bytes, outputs: Any, **given: Any) -> Run:
            raise OverflowError("no uint64\nhere")

    found = failed(vectors_of(bundle, Broken()))
    assert found == [f"{g} fails: no uint64 here" for g in ("density", "inverse", "sampler")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_must_be_the_same(make_bundle: Make, reseal: Any, value: float) -> None:
    """If a vector expects NaN or infinity, the engine must return it."""
    path = make_bundle()
    data = path / "tests" / "density" / "test_data_set_0"
    x = read(data / "input_0.pb")
    x[0, 0] = value
    (data / "input_0.pb").write_bytes(serialize(x))
    reseal(path, Manifest.read(path))
    assert [line.split(" ", 2)[2][:18] for line in failed(verify(path))] == [
        "inf times the perm"
    ] * 2
    z = (x - [1, 2]) / np.array([1, 2])
    log_prob = read(data / "output_0.pb")
    log_prob[0] = np.nan if np.isnan(value) else -np.inf
    (data / "output_1.pb").write_bytes(serialize(z.astype(np.float32)))
    (data / "output_0.pb").write_bytes(serialize(log_prob))
    reseal(path, Manifest.read(path))
    assert failed(verify(path)) == []


def _wider(parity: Parity) -> Parity:
    return dataclasses.replace(parity, scale=(1.0, 100.0))


def test_scale_is_by_column(make_bundle: Make, reseal: Any) -> None:
    """The tolerance of a column grows with the scale of that column."""
    path = make_bundle()
    manifest = Manifest.read(path)
    wide = [p if p.output == "log_prob" else _wider(p) for p in manifest.parity]
    data = path / "tests" / "inverse" / "test_data_set_0" / "output_0.pb"
    data.write_bytes(serialize(read(data) + np.array([0, 5e-3], np.float32)))
    reseal(path, manifest)
    assert [line[:9] for line in failed(verify(path))] == ["inverse x"]
    reseal(path, dataclasses.replace(manifest, parity=tuple(wide)))
    assert failed(verify(path)) == []


def test_a_bundle_without_vectors_fails(make_bundle: Make, reseal: Any) -> None:
    """A graph that has no test vectors does not pass."""
    path = make_bundle()
    shutil.rmtree(path / "tests" / "sampler")
    reseal(path, Manifest.read(path))
    assert failed(verify(path)) == ["sampler has no test vectors"]


@pytest.mark.parametrize(
    "harm", [lambda a: a[:0], lambda a: np.full_like(a, np.nan)], ids=["no rows", "only NaN"]
)
def test_vectors_that_compare_nothing_fail(
    make_bundle: Make, reseal: Any, harm: Callable[[Any], Any]
) -> None:
    """A graph passes only if a finite row was compared."""
    path = make_bundle()
    for file in (path / "tests" / "density").rglob("*.pb"):
        file.write_bytes(serialize(harm(read(file))))
    reseal(path, Manifest.read(path))
    complaint = "no test vector has a finite row, so nothing was compared"
    assert [complaint in line for line in failed(verify(path))] == [True, True]


def test_a_tolerance_that_permits_anything_fails(make_bundle: Make, reseal: Any) -> None:
    """The permitted error must be smaller than the differences among the expected outputs.

    A flow that was exported with --accept-loss may have such a tolerance.
    """
    path = make_bundle()
    manifest = Manifest.read(path)
    loose = tuple(dataclasses.replace(p, tolerance=1e9) for p in manifest.parity)
    reseal(path, dataclasses.replace(manifest, parity=loose))
    found = failed(verify(path))
    assert len(found) == 6
    assert all("more than the expected outputs differ among themselves" in line for line in found)
    accepted = dataclasses.replace(precision(), accepted=True)
    reseal(path, dataclasses.replace(manifest, parity=loose, precision=accepted))
    assert failed(verify(path)) == []


def test_an_output_without_tolerance_fails(make_bundle: Make, reseal: Any) -> None:
    """An output for which the manifest gives no tolerance does not pass."""
    path = make_bundle()
    manifest = Manifest.read(path)
    reseal(path, dataclasses.replace(manifest, parity=manifest.parity[1:]))
    assert failed(verify(path)) == ["density log_prob the manifest gives no tolerance for it"]


def test_each_file_is_read_once_and_each_graph_opened_once(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine runs the bytes that were hashed: no file and no graph is opened twice."""
    opened: list[str] = []
    system_open = os.open

    def counted(path: Path, *args: Any, **options: Any) -> int:
        opened.append(Path(path).name)
        return system_open(path, *args, **options)

    class Counting(OnnxRuntime):
        def open(self, content: bytes, outputs: Any, **given: Any) -> Run:
            opened.append(f"engine {given['signature'].graph}")
            return super().open(content, outputs, **given)

    monkeypatch.setitem(ENGINES, "counting", Counting())
    monkeypatch.setattr(os, "open", counted)
    assert failed(verify(bundle, "counting")) == []
    for name in ("density", "inverse", "sampler"):
        assert opened.count(f"{name}.onnx") == 1
        assert opened.count(f"engine {name}") == 1


def test_an_old_onnxruntime_fails(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of onnxruntime is a separate check."""
    monkeypatch.setattr("onnxruntime.__version__", "1.0.0")
    assert failed(verify(bundle))[0].startswith("onnxruntime onnxruntime 1.0.0 is too old")
