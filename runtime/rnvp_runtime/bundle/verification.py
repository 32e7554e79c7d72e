"""Whether a bundle is complete, and gives on this machine the numbers that it gave when exported.

There are two questions. Is every file the one that was exported (size and sha256)? Does each
engine that serves calls of the bundle, given the inputs of its test vectors, stay within the error
that the manifest permits? The second question finds an engine that computes something else without
an error.

Each file is read once: what is compared with the manifest is also what is run.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_runtime.bundle.graph_file import check_structure, graph_file, read_file
from rnvp_runtime.bundle.manifest import Manifest, read_text
from rnvp_runtime.bundle.signature import MAX_SIGNATURE_BYTES, SIGNATURE_FILE, signature_fault
from rnvp_runtime.bundle.sources import BundlePath, FileFault, Source, open_source
from rnvp_runtime.bundle.tensor_proto import parse
from rnvp_runtime.engines import Engine, OpenOptions, Provider, Run, Signature, find_engine
from rnvp_runtime.engines.default import serving_engines
from rnvp_runtime.errors import BundleError, MissingExtraError, RnvpError

__all__ = ["Check", "check_vectors", "read_files", "read_vectors", "verify"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Check:
    """One thing that was checked."""

    name: str
    passed: bool
    detail: str  # what was found; on failure also by how much it is off


def verify(path: BundlePath, engine: str | None = None, *, key: Path | None = None) -> list[Check]:
    """All checks of the bundle at ``path``: a folder, a zip file or a resource.

    The test vectors run only if no file is missing or altered, the signature is good where one is
    asked for, and the engine can run the bundle.

    Args:
        engine: runs the test vectors. None is every engine that serves calls of a flow loaded
            without an engine's name: onnxruntime, and the native one where the bundle has
            ``flow.bin``. The names of its checks then begin with ``native``.
        key: the public key, in PEM, with which the bundle must be signed; None asks for no
            signature.

    Raises:
        BundleError: the manifest cannot be read.
        InputError: there is no such engine, or ``key`` is not a public key.
        MissingExtraError: the engine, or what checks signatures, is not installed.
    """
    source = open_source(path)
    if engine is not None:
        find_engine(engine)
    text = read_text(source)
    manifest = Manifest.from_bytes(text, source.name)
    names = serving_engines(manifest) if engine is None else (engine,)
    formats = {find_engine(name).format for name in names}
    graphs = {
        file
        for graph in manifest.graphs.values()
        for format, file in graph.files.items()
        if format in formats
    }
    vectors = {file for file in manifest.files if _VECTOR.fullmatch(file)}
    kept = manifest.files.keys() if key else graphs | vectors
    checks, contents = read_files(source, manifest, kept, strict=key is not None)
    if any(check.name in manifest.files and not check.passed for check in checks):
        return [*checks, Check("test vectors", False, "not run: the files are not as exported")]
    if key:
        checks.append(_check_signature(source, {"manifest.json": text, **contents}, key))
        if not checks[-1].passed:
            return [*checks, Check("test vectors", False, "not run: the signature is not good")]
    for name in names:
        found = _check_engine(contents, manifest, name)
        prefix = "" if name == names[0] or found[0].name == name else f"{name} "
        checks += [replace(check, name=prefix + check.name) for check in found]
    holds_native = any("native" in graph.files for graph in manifest.graphs.values())
    if engine is None and holds_native and "native" not in names:
        unread = "flow.bin did not run: this installation has no compiled library"
        checks.append(Check("native", True, unread))
    return checks


def _check_engine(contents: Mapping[str, bytes], manifest: Manifest, name: str) -> list[Check]:
    """What the engine makes of the test vectors, or the one check that says why it cannot."""
    engine = find_engine(name)
    try:
        engine.check(manifest)
        for graph in manifest.graphs:
            graph_file(manifest, graph, engine.format)
    except MissingExtraError:
        raise
    except RnvpError as error:
        return [Check(name, False, str(error))]
    structures = _check_structures(contents, manifest) if engine.format == "onnx" else []
    return structures or check_vectors(contents, manifest, engine)


def _check_signature(source: Source, contents: Mapping[str, bytes], key: Path) -> Check:
    """Whether ``contents``, all files of the bundle, were signed with ``key``."""
    try:
        signature = source.read(SIGNATURE_FILE, None, MAX_SIGNATURE_BYTES)
    except FileFault as error:
        missing = "is missing: the bundle was exported without --sign"
        unread = missing if error.fault == "is missing" else error.fault
        return Check(SIGNATURE_FILE, False, unread)
    fault = signature_fault(contents, signature, key)
    return Check(SIGNATURE_FILE, not fault, fault or f"all files signed with the key of {key}")


def _check_structures(contents: Mapping[str, bytes], manifest: Manifest) -> list[Check]:
    """A failed check for each ONNX file that is not the graph that the manifest describes."""
    failed = []
    for graph in manifest.graphs:
        file = graph_file(manifest, graph, "onnx")
        try:
            check_structure(contents[file], manifest, graph)
        except BundleError as error:
            failed.append(Check(graph, False, str(error)))
    return failed


def read_files(
    source: Source, manifest: Manifest, kept: Container[str], *, strict: bool = False
) -> tuple[list[Check], dict[str, bytes]]:
    """Check all files of a bundle, and return the content of the ``kept`` ones.

    Args:
        source: the bundle.
        manifest: of the bundle.
        kept: names of files.
        strict: whether files that a system adds fail too, as a signature asks.

    Returns:
        One failed check for each file that is missing, altered or unexpected, or else one passed;
        and name -> content of each file in ``kept`` that is as exported.
    """
    failed, contents = [], {}
    for name in manifest.files:
        try:
            content = read_file(source, manifest, name)
        except FileFault as error:
            failed.append(Check(name, False, error.fault))
        else:
            if name in kept:
                contents[name] = content
    failed += [
        Check(name, False, "is not part of the bundle")
        for name in sorted(set(source.files()) - manifest.files.keys() - _BESIDE)
        if strict or not _is_added(name)
    ]
    total = sum(record.bytes for record in manifest.files.values())
    passed = Check("files", True, f"{len(manifest.files)} as exported, {total:,} bytes")
    return failed or [passed], contents


def read_vectors(source: Source, manifest: Manifest, graph: str) -> dict[str, bytes]:
    """File name -> content of each test vector of ``graph``.

    Raises:
        BundleError: one is missing or altered.
    """
    matches = filter(None, map(_VECTOR.fullmatch, manifest.files))
    return {
        match[0]: read_file(source, manifest, match[0]) for match in matches if match[1] == graph
    }


_BESIDE = {"manifest.json", SIGNATURE_FILE}
"""The files of a bundle that its manifest does not list."""

_ADDED = {".ds_store", "thumbs.db", "desktop.ini"}


def _is_added(name: str) -> bool:
    """Whether macOS or Windows adds such a file when a folder is looked at, copied or packed."""
    *folders, file = name.lower().split("/")
    return file in _ADDED or file.startswith("._") or "__macosx" in folders


_VECTOR = re.compile(r"tests/([^/]+)/(test_data_set_(\d+))/(input|output)_\d+\.pb")


def check_vectors(
    contents: Mapping[str, bytes],
    manifest: Manifest,
    engine: Engine,
    *,
    providers: Sequence[Provider] = (),
    graphs: Iterable[str] | None = None,
) -> list[Check]:
    """One check for each output of each graph, over all its test vectors.

    Rows that hold NaN or infinity are judged only if the engine is said to keep them and
    ``providers`` is empty. Otherwise the check's detail says so.

    Args:
        contents: file name -> content of the graphs and of the test vectors.
        providers: the execution providers that the engine runs on.
        graphs: the graphs to check; by default all.
    """
    checks: list[Check] = []
    keeps_nan = engine.keeps_nan and not providers
    for name in manifest.graphs if graphs is None else graphs:
        graph = manifest.graphs[name]
        sets = _data_sets(contents, name)
        if not sets:
            checks.append(Check(name, False, "has no test vectors"))
            continue
        try:
            file = graph_file(manifest, name, engine.format)
            outputs = [spec.name for spec in graph.outputs]
            run = engine.open(
                contents[file],
                outputs,
                signature=Signature.of(manifest, name),
                options=OpenOptions(file, providers=tuple(providers)),
            )
            compared = [_compare(run, manifest, name, contents, data, keeps_nan) for data in sets]
            found = [_judge(manifest, name, i, compared) for i in range(len(outputs))]
        except Exception as error:  # an engine may raise any class; here it is a finding
            found = [Check(name, False, " ".join(f"fails: {error}".split()))]
        checks += map(partial(_with_advice, advice=engine.wrong_graphs.get(name)), found)
    return checks


def _data_sets(contents: Mapping[str, bytes], graph: str) -> list[str]:
    """The folders of the test vectors of ``graph``, by number."""
    found = {
        int(match[3]): f"tests/{graph}/{match[2]}"
        for match in map(_VECTOR.fullmatch, contents)
        if match and match[1] == graph
    }
    return [folder for _, folder in sorted(found.items())]


def _with_advice(check: Check, advice: str | None) -> Check:
    if check.passed or advice is None:
        return check
    return replace(check, detail=f"{check.detail}. {advice}")


@dataclass(frozen=True)
class _Comparison:
    """The outputs of an engine for one test vector, and the expected outputs."""

    name: str
    found: Sequence[Array]
    expected: Sequence[Array]
    judged: NDArray[np.bool_]  # (n,): the rows that count


def _compare(
    run: Run,
    manifest: Manifest,
    graph: str,
    contents: Mapping[str, bytes],
    folder: str,
    keeps_nan: bool,
) -> _Comparison:
    specs = manifest.graphs[graph]
    inputs = {
        spec.name: _tensor(contents, f"{folder}/input_{i}.pb")
        for i, spec in enumerate(specs.inputs)
    }
    expected = [_tensor(contents, f"{folder}/output_{i}.pb") for i in range(len(specs.outputs))]
    found = [np.asarray(output) for output in run(inputs)]
    judged = np.ones(len(expected[0]), bool)
    if not keeps_nan:
        judged &= _finite_rows(inputs, len(judged))
    return _Comparison(folder.rpartition("/")[2], found, expected, judged)


def _tensor(contents: Mapping[str, bytes], file: str) -> Array:
    if file not in contents:
        raise BundleError(f"{file} is missing")
    try:
        return parse(contents[file])
    except ValueError as error:
        raise BundleError(f"{file} is not a tensor: {error}") from None


def _finite_rows(inputs: Mapping[str, Array], n: int) -> NDArray[np.bool_]:
    """Which of ``n`` rows are finite in every input that has rows."""
    finite = np.ones(n, bool)
    for values in inputs.values():
        if values.ndim == 2:
            finite &= np.isfinite(values).all(axis=1)
    return finite


def _judge(manifest: Manifest, graph: str, i: int, compared: Sequence[_Comparison]) -> Check:
    """Output ``i`` of ``graph`` over all test vectors, against the manifest's tolerance."""
    output = manifest.graphs[graph].outputs[i].name
    name = f"{graph} {output}"
    parity = manifest.parity_of(graph, output)
    if parity is None:
        return Check(name, False, "the manifest gives no tolerance for it")
    permitted = parity.tolerance * np.array(parity.scale)
    worst, where = 0.0, ""
    for vector in compared:
        found, expected = vector.found[i], vector.expected[i]
        if (found.dtype, found.shape) != (expected.dtype, expected.shape):
            detail = (
                f"{vector.name}: {found.dtype} {found.shape}, "
                f"expected {expected.dtype} {expected.shape}"
            )
            return Check(name, False, detail)
        ratio = _error_ratio(found, expected, permitted)
        ratio[~vector.judged] = 0
        if ratio.size and ratio.max() > worst:
            worst = float(ratio.max())
            at = tuple(int(k) for k in np.unravel_index(ratio.argmax(), ratio.shape))
            where = f"{vector.name} {list(at)}: found {found[at]}, expected {expected[at]}"
    if worst > 1:
        return Check(name, False, f"{worst:.3g} times the permitted error: {where}")
    if fault := _vacuous(manifest, output, compared, i, permitted):
        return Check(name, False, fault)
    rows = sum(int(vector.judged.sum()) for vector in compared)
    detail = f"{rows:,} rows, at worst {worst:.2g} of the permitted error"
    if left_out := sum(len(vector.judged) for vector in compared) - rows:
        detail += f"; {left_out} with NaN or infinity not judged, which it does not keep"
    return Check(name, True, detail)


def _vacuous(
    manifest: Manifest,
    output: str,
    compared: Sequence[_Comparison],
    i: int,
    permitted: NDArray[np.float64],
) -> str | None:
    """Why the comparison of output ``i`` could not have failed, in a sentence; None if it could.

    A flow that was exported with --accept-loss may have such a tolerance: its manifest says so.
    """
    rows = np.concatenate(
        [v.expected[i][v.judged].reshape(-1, permitted.size) for v in compared]
    ).astype(np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return "no test vector has a finite row, so nothing was compared: export the bundle again"
    accepted = manifest.precision is not None and manifest.precision.accepted
    span = np.ptp(rows, axis=0)
    if (
        output in ("log_prob", "x", "z")
        and not accepted
        and ((span > 0) & (permitted > span)).any()
    ):
        return (
            f"the manifest permits an error of {permitted.max():.3g}, more than the expected "
            "outputs differ among themselves: export the bundle again"
        )
    return None


def _error_ratio(found: Array, expected: Array, permitted: NDArray[np.float64]) -> Array:
    """|found - expected| / permitted; 0 where both are the same NaN or infinity, else infinity."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(a - b) / permitted
    ratio = np.where(np.isfinite(a) & np.isfinite(b), ratio, np.inf)
    return np.where(same, 0.0, ratio)
