"""Small bundles that the tests write by hand: the flow is one affine map.

    z = (x - loc - context @ A) / scale        log p(x) = log N(z; 0, 1) - sum(log scale)

Its latents are not normal. They are a fixed function of (seed, row), which shows that the
runtime asks for the right rows. The tests of exported bundles check the real stream.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy import stats

import rnvp_runtime
from rnvp_runtime.bundle.manifest import (
    Checkpoint,
    ColumnReference,
    FileRecord,
    FlowSummary,
    Graph,
    Manifest,
    Parity,
    Reference,
    Spread,
)
from rnvp_runtime.bundle.tensor_proto import serialize
from rnvp_runtime.bundle.tensors import TensorSpec

Array = NDArray[Any]
HASH = (
    (73_939_133, 31_337, 7),
    (59_393_339, 17_389, 11),
)  # (row, seed, constant); the columns use the triples in turn


@dataclass(frozen=True)
class Affine:
    """The affine map of the bundle in numpy and float64."""

    loc: Array
    scale: Array
    mixing: Array  # (context_dim, dim)

    def shift(self, context: Any, rows: int) -> Array:
        given = np.zeros((rows, 0)) if context is None else np.asarray(context, np.float64)
        return self.loc + np.broadcast_to(given, (rows, len(self.mixing))) @ self.mixing

    def z(self, x: Any, context: Any = None) -> Array:
        x = np.asarray(x, np.float64)
        return (x - self.shift(context, len(x))) / self.scale

    def x(self, z: Any, context: Any = None) -> Array:
        z = np.asarray(z, np.float64)
        return z * self.scale + self.shift(context, len(z))

    def log_prob(self, x: Any, context: Any = None) -> Array:
        z = self.z(x, context)
        half = 0.5 * z.shape[1] * np.log(2 * np.pi)
        return -0.5 * (z**2).sum(axis=1) - half - np.log(self.scale).sum()

    def gradients(self, x: Any, context: Any = None) -> tuple[Array, Array]:
        by_x = -self.z(x, context) / self.scale
        return by_x, -by_x @ self.mixing.T

    def latents(self, seed: int, start: int, count: int) -> Array:
        rows = np.arange(start, start + count, dtype=np.int64)[:, None]
        a, b, c = (np.array(_cycle(k, len(self.loc)), np.int64) for k in range(3))
        return ((rows * a + seed * b + c) & 0xFFFFF) / 2**19 - 1


@pytest.fixture
def affine() -> Callable[..., Affine]:
    """The same map as that of `make_bundle`, in numpy, for the same dimensions."""
    return _affine


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a bundle.

    ``make_bundle(dim=2, context_dim=0, dtype="float32", width=128)`` writes one. With
    ``gradient=True`` the bundle has a gradient graph, as a newer rnvp-deploy writes it, and the
    exact quantiles of its own samples as the reference.
    """

    def make(name: str = "model.rnvp", **options: Any) -> Path:
        return write_bundle(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unconditional bundle with columns x0, x1. Tests must not change it."""
    return write_bundle(tmp_path_factory.mktemp("shared") / "model.rnvp")


@pytest.fixture(scope="session")
def conditional_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with columns x0, x1 and context c0. Tests must not change it."""
    return write_bundle(tmp_path_factory.mktemp("shared") / "model.rnvp", context_dim=1)


@pytest.fixture
def flow(bundle: Path) -> rnvp_runtime.Flow:
    """The unconditional bundle, loaded."""
    return rnvp_runtime.load(bundle)


def _cycle(k: int, dim: int) -> list[int]:
    return [HASH[i % len(HASH)][k] for i in range(dim)]


def _affine(dim: int = 2, context_dim: int = 0) -> Affine:
    loc, scale = np.arange(1.0, dim + 1), 2.0 ** (np.arange(dim) % 3)
    return Affine(loc, scale, np.arange(1.0, context_dim * dim + 1).reshape(context_dim, dim))


def write_bundle(
    folder: Path,
    dim: int = 2,
    context_dim: int = 0,
    dtype: str = "float32",
    width: int = 128,
    gradient: bool = False,
) -> Path:
    """Write a bundle whose flow is one affine map; return ``folder``."""
    folder.mkdir()
    graphs = {}
    for name in ("density", "inverse", "sampler", *["gradient"] * gradient):
        inputs, outputs = _signature(name, dim, context_dim, dtype)
        (folder / f"{name}.onnx").write_bytes(_model(name, inputs, outputs, dim, context_dim))
        _write_vector(folder, name, outputs, dim, context_dim, dtype)
        graphs[name] = Graph(inputs, outputs, 9, {"onnx": f"{name}.onnx"})
    (folder / "README.md").write_text("An affine map.\n", encoding="utf-8")
    manifest = _manifest(dim, context_dim, dtype, width, graphs)
    if gradient:
        manifest = dataclasses.replace(manifest, reference=_reference(dim, context_dim))
    seal(folder, manifest)
    return folder


def _reference(dim: int, context_dim: int) -> Reference:
    """The exact reference: −2 (log_prob − maximum) is chi-squared with dim degrees of freedom."""
    map_ = _affine(dim, context_dim)
    most = -0.5 * dim * np.log(2 * np.pi) - float(np.log(map_.scale).sum())
    levels = (0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 1.0)
    inner = [most - 0.5 * stats.chi2.isf(level, dim) for level in levels[1:-1]]
    columns = [
        ColumnReference(loc - 3.09 * scale, loc, loc + 3.09 * scale, scale)
        for loc, scale in zip(map_.loc.tolist(), map_.scale.tolist(), strict=True)
    ]
    log_prob = (most - 40.0, *map(float, inner), most)
    return Reference("samples", 100_000, levels, log_prob, tuple(columns))


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the hashes of the files that are in ``folder`` now."""
    files = {
        path.relative_to(folder).as_posix(): FileRecord(
            hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    text = dataclasses.replace(manifest, files=files).to_json()
    (folder / "manifest.json").write_text(text, encoding="utf-8")


@pytest.fixture
def reseal() -> Callable[[Path, Manifest], None]:
    """Give `seal` to tests that change a bundle and need correct hashes."""
    return seal


def _manifest(
    dim: int, context_dim: int, dtype: str, width: int, graphs: dict[str, Graph]
) -> Manifest:
    spread = Spread(1e-7, 3e-7, 1e-6)
    outputs = [("density", "log_prob"), ("density", "z"), ("inverse", "x")]
    outputs += [("inverse", "log_prob"), ("sampler", "x"), ("sampler", "log_prob")]
    if "gradient" in graphs:
        outputs += [("gradient", spec.name) for spec in graphs["gradient"].outputs]
    return Manifest(
        id="0123456789abcdef",
        dim=dim,
        context_dim=context_dim,
        columns=tuple(f"x{i}" for i in range(dim)),
        context_columns=tuple(f"c{i}" for i in range(context_dim)),
        dtype=dtype,
        opset=18,
        ir_version=10,
        min_onnxruntime="1.18",
        flow=FlowSummary("one affine map", 0, 2 * dim, (width, width)),
        graphs=graphs,
        parity=tuple(
            Parity(
                graph=graph,
                output=output,
                format="onnx",
                unit="nats" if output == "log_prob" else "data units",
                scale=(1.0,) * {"log_prob": 1, "grad_context": context_dim}.get(output, dim),
                eager=spread,
                exported=spread,
                ratio=Spread(1.0, 1.0, 1.0),
                tolerance=1e-4,
                passed=True,
            )
            for graph, output in outputs
        ),
        files={f"{g}.onnx": FileRecord("0" * 64, 1) for g in graphs},
        versions={"rnvp-deploy": "0.1.0"},
        checkpoint=Checkpoint(None),
    )


def _signature(
    graph: str, dim: int, context_dim: int, dtype: str
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    rows = "count" if graph == "sampler" else "n"
    inputs: tuple[TensorSpec, ...]
    if graph == "sampler":
        scalars = [("seed", "int64"), ("start", "int64"), ("count", "int64")]
        inputs = tuple(TensorSpec(n, t, ()) for n, t in [*scalars, ("temperature", dtype)])
    else:
        inputs = (TensorSpec("z" if graph == "inverse" else "x", dtype, (rows, dim)),)
    if context_dim:
        inputs += (TensorSpec("context", dtype, (rows, context_dim)),)
    log_prob = TensorSpec("log_prob", dtype, (rows,))
    if graph == "gradient":
        derivatives = [TensorSpec("grad_x", dtype, (rows, dim))]
        if context_dim:
            derivatives += [TensorSpec("grad_context", dtype, (rows, context_dim))]
        return inputs, (log_prob, *derivatives)
    values = TensorSpec("z" if graph == "density" else "x", dtype, (rows, dim))
    return inputs, (log_prob, values) if graph == "density" else (values, log_prob)


def _model(
    graph: str,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    dim: int,
    context_dim: int,
) -> bytes:
    """The serialized ONNX model of one graph."""
    kind = np.dtype(outputs[0].dtype)
    map_ = _affine(dim, context_dim)
    log_two_pi = 0.5 * dim * np.log(2 * np.pi) + np.log(map_.scale).sum()
    constants = {
        "loc": map_.loc.astype(kind),
        "scale": map_.scale.astype(kind),
        "mixing": map_.mixing.astype(kind),
        "unmixing": map_.mixing.T.astype(kind),
        "half": np.array(-0.5, kind),
        "constant": np.array(log_two_pi, kind),
        "one": np.array([1], np.int64),
    }
    nodes = []

    def node(op: str, *given: str, result: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(given), [result], **attributes))
        return result

    shift = "loc"
    if context_dim:
        shift = node(
            "Add", "loc", node("MatMul", "context", "mixing", result="mixed"), result="shift"
        )
    if graph in ("density", "gradient"):
        z = node("Div", node("Sub", "x", shift, result="centred"), "scale", result="z")
    else:
        z = "z" if graph == "inverse" else _latents(node, constants, dim, kind)
        node("Add", node("Mul", z, "scale", result="scaled"), shift, result="x")
    squares = node("ReduceSum", node("Mul", z, z, result="zz"), "one", result="square", keepdims=0)
    node("Sub", node("Mul", squares, "half", result="exponent"), "constant", result="log_prob")
    if graph == "gradient":
        slope = node("Div", z, "scale", result="slope")
        node("Neg", slope, result="grad_x")
        if context_dim:
            node("MatMul", slope, "unmixing", result="grad_context")
    values = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
    values["int64"] = TensorProto.INT64
    body = helper.make_graph(
        nodes,
        graph,
        [helper.make_tensor_value_info(s.name, values[s.dtype], s.shape) for s in inputs],
        [helper.make_tensor_value_info(s.name, values[s.dtype], s.shape) for s in outputs],
        [numpy_helper.from_array(v, k) for k, v in constants.items() if v.size],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def _latents(
    node: Callable[..., str], constants: dict[str, Array], dim: int, kind: np.dtype[Any]
) -> str:
    """Add the nodes of ((row * a + seed * b + c) mod 2**20) / 2**19 - 1, times the temperature."""
    constants |= {name: np.array(_cycle(k, dim), np.int64) for k, name in enumerate("abc")}
    constants |= {"zero": np.array(0, np.int64), "unit": np.array(1, np.int64)}
    constants |= {"low_bits": np.array(0xFFFFF, np.int64)}
    constants |= {"half_range": np.array(2**19, kind), "ones": np.array(1, kind)}
    rows = node(
        "Add", node("Range", "zero", "count", "unit", result="range"), "start", result="rows"
    )
    column = node("Unsqueeze", rows, "one", result="column")
    hashed = node("Add", node("Mul", column, "a", result="ra"), "c", result="rac")
    total = node("Add", hashed, node("Mul", "seed", "b", result="sb"), result="total")
    folded = node("BitwiseAnd", total, "low_bits", result="folded")
    value = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[kind.name]
    number = node(
        "Div", node("Cast", folded, result="number", to=value), "half_range", result="fraction"
    )
    return node("Mul", node("Sub", number, "ones", result="unit_z"), "temperature", result="hot")


def _write_vector(
    folder: Path,
    graph: str,
    outputs: tuple[TensorSpec, ...],
    dim: int,
    context_dim: int,
    dtype: str,
) -> None:
    """Write one test vector of five rows."""
    map_ = _affine(dim, context_dim)
    rows = np.linspace(-2, 3, 5 * dim).reshape(5, dim)
    context = np.linspace(0, 1, 5 * context_dim).reshape(5, context_dim)
    if graph == "sampler":
        inputs = [np.array(v, np.int64) for v in (7, 3, 5)] + [np.array(1.0, dtype)]
        z = map_.latents(7, 3, 5)
        x = map_.x(z, context)
    else:
        inputs = [rows.astype(dtype)]
        x, z = (
            (map_.x(rows, context), rows) if graph == "inverse" else (rows, map_.z(rows, context))
        )
    if context_dim:
        inputs.append(context.astype(dtype))
    by_x, by_context = map_.gradients(x, context)
    known = {"x": x, "z": z, "log_prob": map_.log_prob(x, context)}
    known |= {"grad_x": by_x, "grad_context": by_context}
    data = folder / "tests" / graph / "test_data_set_0"
    data.mkdir(parents=True)
    for i, array in enumerate(inputs):
        (data / f"input_{i}.pb").write_bytes(serialize(array))
    for i, spec in enumerate(outputs):
        (data / f"output_{i}.pb").write_bytes(serialize(known[spec.name].astype(dtype)))
