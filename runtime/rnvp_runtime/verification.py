"""Whether a bundle is whole, and gives on this machine the numbers that it gave where it was made.

Two questions: is every file the one that was exported (size and sha256), and does an engine,
given the inputs of the bundle's test vectors, stay within the error that the manifest permits?
The second is what shows an engine that computes something else without saying so.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.engines import ENGINES, Engine
from rnvp_runtime.errors import BundleError
from rnvp_runtime.extras import need
from rnvp_runtime.manifest import FileRecord, Graph, Manifest
from rnvp_runtime.session import check_onnxruntime
from rnvp_runtime.tensor_proto import read

__all__ = ["Check", "check_files", "check_vectors", "verify"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Check:
    """One thing that was checked."""

    name: str
    passed: bool
    detail: str  # what was found, and on failure by how much it is off


def verify(folder: Path, engine: str = "onnxruntime") -> list[Check]:
    """All checks of the bundle at ``folder``. Vectors run only if no file is missing or altered.

    Raises
    ------
    BundleError
        Its manifest cannot be read.
    MissingExtraError
        The engine is not installed.
    """
    need(ENGINES[engine].package)
    manifest = Manifest.read(folder)
    checks = check_files(folder, manifest)
    if any(check.name in manifest.files and not check.passed for check in checks):
        return [*checks, Check("test vectors", False, "not run: the files are not as exported")]
    if engine == "onnxruntime":
        try:
            check_onnxruntime(manifest.min_onnxruntime)
        except BundleError as error:
            return [*checks, Check("onnxruntime", False, str(error))]
    return checks + check_vectors(folder, manifest, ENGINES[engine])


def check_files(folder: Path, manifest: Manifest) -> list[Check]:
    """One failed check for each file that is missing, altered or unexpected; or one passed."""
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    failed = [
        Check(name, False, fault)
        for name, record in manifest.files.items()
        if (fault := _fault(folder / name, record))
    ]
    failed += [
        Check(name, False, "is not part of the bundle")
        for name in sorted(present - manifest.files.keys() - {"manifest.json"})
    ]
    total = sum(record.bytes for record in manifest.files.values())
    return failed or [Check("files", True, f"{len(manifest.files)} as exported, {total:,} bytes")]


def _fault(path: Path, record: FileRecord) -> str | None:
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != record.bytes:
        return f"is altered: {path.stat().st_size:,} bytes, exported with {record.bytes:,}"
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record.sha256:
            return "is altered: its sha256 differs"
    return None


def check_vectors(folder: Path, manifest: Manifest, engine: Engine) -> list[Check]:
    """One check for each output of each graph, over all its test vectors.

    Rows that hold NaN or infinity are judged only where the engine is said to keep them; the
    check's detail says so where it is not.
    """
    checks: list[Check] = []
    for name, graph in manifest.graphs.items():
        sets = sorted((folder / "tests" / name).glob("test_data_set_*"), key=_set_number)
        if not sets:
            checks.append(Check(name, False, "has no test vectors"))
            continue
        try:
            runs = [_Run.of(folder / graph.files["onnx"], graph, data, engine) for data in sets]
        except Exception as error:  # an engine may raise anything; here that is a finding
            found = [Check(name, False, " ".join(f"fails: {error}".split()))]
        else:
            found = [_judge(manifest, name, i, runs) for i in range(len(graph.outputs))]
        checks += [_advised(check, engine.advice.get(name)) for check in found]
    return checks


def _advised(check: Check, advice: str | None) -> Check:
    if check.passed or advice is None:
        return check
    return replace(check, detail=f"{check.detail}. {advice}")


@dataclass(frozen=True)
class _Run:
    """What an engine gave for one test vector, beside what it should have given."""

    name: str
    found: Sequence[Array]
    expected: Sequence[Array]
    judged: NDArray[np.bool_]  # (n,): the rows that count

    @classmethod
    def of(cls, path: Path, graph: Graph, data: Path, engine: Engine) -> "_Run":
        feeds = {spec.name: read(data / f"input_{i}.pb") for i, spec in enumerate(graph.inputs)}
        expected = [read(data / f"output_{i}.pb") for i in range(len(graph.outputs))]
        found = engine.run(path, feeds, [spec.name for spec in graph.outputs])
        judged = np.ones(len(expected[0]), bool)
        if not engine.keeps_nan:
            judged &= _finite_rows(feeds, len(judged))
        return cls(data.name, found, expected, judged)


def _finite_rows(feeds: Mapping[str, Array], n: int) -> NDArray[np.bool_]:
    """Which of ``n`` rows are finite in every input that has rows."""
    finite = np.ones(n, bool)
    for values in feeds.values():
        if values.ndim == 2:
            finite &= np.isfinite(values).all(axis=1)
    return finite


def _judge(manifest: Manifest, graph: str, i: int, runs: Sequence[_Run]) -> Check:
    """Output ``i`` of ``graph`` over ``runs``, against the manifest's tolerance."""
    output = manifest.graphs[graph].outputs[i].name
    name = f"{graph} {output}"
    parity = manifest.parity_of(graph, output)
    if parity is None:
        return Check(name, False, "the manifest gives no tolerance for it")
    permitted = parity.tolerance * np.array(parity.scale)
    worst, where = 0.0, ""
    for run in runs:
        found, expected = np.asarray(run.found[i]), run.expected[i]
        if found.shape != expected.shape:
            detail = f"{run.name}: shape {found.shape}, expected {expected.shape}"
            return Check(name, False, detail)
        excess = _excess(found, expected, permitted)
        excess[~run.judged] = 0
        if excess.size and excess.max() > worst:
            worst = float(excess.max())
            at = tuple(int(k) for k in np.unravel_index(excess.argmax(), excess.shape))
            where = f"{run.name} {list(at)}: found {found[at]}, expected {expected[at]}"
    if worst <= 1:
        rows = sum(int(run.judged.sum()) for run in runs)
        detail = f"{rows:,} rows, at worst {worst:.2g} of the permitted error"
        if left_out := sum(len(run.judged) for run in runs) - rows:
            detail += f"; {left_out} with NaN or infinity not judged, which it does not keep"
        return Check(name, True, detail)
    return Check(name, False, f"{worst:.3g} times the permitted error: {where}")


def _excess(found: Array, expected: Array, permitted: NDArray[np.float64]) -> Array:
    """|found - expected| / permitted; 0 where both are the same NaN or infinity, else infinity."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(a - b) / permitted
    ratio = np.where(np.isfinite(a) & np.isfinite(b), ratio, np.inf)
    return np.where(same, 0.0, ratio)


def _set_number(path: Path) -> int:
    digits = re.search(r"\d+$", path.name)
    return int(digits.group()) if digits else -1
