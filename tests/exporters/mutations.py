"""Wrong graphs: how many does ``rnvp-verify`` find?

    python -m tests.exporters.mutations --write docs/parity.md

Each graph of ten bundles of different kinds is changed in one place, and the manifest gets the hash
of the changed file. A change is *visible* if it moves an output of a test vector by more than twice
eager PyTorch's error (its 99th percentile). Verification must find all visible changes.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

import rnvp_exporters
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.scales import Atan, Exp, LogSigmoidPlus, SoftClip
from rnvp_exporters.proof.vectors import MARGIN
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.tensor_proto import parse
from rnvp_runtime.bundle.verification import check_vectors
from rnvp_runtime.engines import ENGINES
from tests.flows import lively
from tests.pages import write_measured

__all__ = ["FLOWS", "MUTATIONS", "SMALL", "Tally", "export", "tally"]

Array = NDArray[Any]
FLOWS: dict[str, RNVPConfig] = {
    "default": RNVPConfig(dim=2),
    "d 8, separate networks": RNVPConfig(dim=8, joint=False, hidden=(32, 32)),
    "d 43": RNVPConfig(dim=43, hidden=(32, 32), couplings=4),
    "conditional": RNVPConfig(dim=3, context_dim=2, hidden=(16, 16), couplings=4),
    "residual, gated": RNVPConfig(dim=4, context_dim=1, residual=True, hidden=(16, 16)),
    "permuted, actnorm": RNVPConfig(dim=6, mixing="permute", actnorm=True, hidden=(16, 16)),
    "linear": RNVPConfig(dim=4, mixing="lu", hidden=(16, 16), couplings=4),
    "tanh layers, atan scale": RNVPConfig(dim=5, activation="tanh", scale=Atan(2.0)),
    "nflows scale": RNVPConfig(dim=4, scale=LogSigmoidPlus(), hidden=(16, 16)),
    "exp scale": RNVPConfig(dim=2, scale=Exp(), hidden=(16, 16), couplings=4),
}
SMALL = RNVPConfig(dim=3, scale=SoftClip(), hidden=(8,), couplings=2)

Change = Callable[[onnx.ModelProto, int], bool]
"""Changes the k-th place of a model; False if there are fewer places."""


def _weights(model: onnx.ModelProto, k: int, change: Callable[[Array], None]) -> bool:
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    tensors = [t for t in model.graph.initializer if t.data_type in floats and len(t.dims) > 0]
    if k >= len(tensors):
        return False
    values = numpy_helper.to_array(tensors[k]).copy()
    change(values)
    tensors[k].CopyFrom(numpy_helper.from_array(values, tensors[k].name))
    return True


def _scaled(values: Array) -> None:
    values *= 1.001


def _doubled(values: Array) -> None:
    values.flat[values.size // 2] *= 2


def _negated(values: Array) -> None:
    values.flat[values.size // 3] *= -1


def _rows_exchanged(values: Array) -> None:
    if len(values) > 1:
        values[[0, 1]] = values[[1, 0]]


def _activation_replaced(model: onnx.ModelProto, k: int) -> bool:
    others = {"Relu": "Tanh", "Tanh": "Relu", "Exp": "Relu", "Sigmoid": "Tanh", "Atan": "Tanh"}
    nodes = [node for node in model.graph.node if node.op_type in others]
    if k >= len(nodes):
        return False
    nodes[k].op_type = others[nodes[k].op_type]
    return True


def _inputs_exchanged(model: onnx.ModelProto, k: int) -> bool:
    nodes = [node for node in model.graph.node if node.op_type in ("Sub", "Div")]
    if k >= len(nodes):
        return False
    first, second = nodes[k].input[:2]
    nodes[k].input[0], nodes[k].input[1] = second, first
    return True


MUTATIONS: dict[str, Change] = {
    "tensor × 1.001": lambda model, k: _weights(model, k, _scaled),
    "one element doubled": lambda model, k: _weights(model, k, _doubled),
    "one sign changed": lambda model, k: _weights(model, k, _negated),
    "two rows exchanged": lambda model, k: _weights(model, k, _rows_exchanged),
    "activation replaced": _activation_replaced,
    "inputs of a node exchanged": _inputs_exchanged,
}


@dataclass
class Tally:
    """How many changes of one kind were visible and hidden, and how many of each were found."""

    visible: int = 0
    visible_found: int = 0
    hidden: int = 0
    hidden_found: int = 0


def export(flow: RNVP, folder: Path) -> Path:
    """A bundle of ONNX graphs in float32."""
    rnvp_exporters.export(flow.float(), folder, formats=("onnx",))
    return folder


def tally(folder: Path, most: int | None = None) -> dict[str, Tally]:
    """Try every mutation at every place of every graph, or at ``most`` places."""
    manifest = Manifest.read(folder)
    contents = {name: (folder / name).read_bytes() for name in manifest.files}
    counts = {name: Tally() for name in MUTATIONS}
    for graph in manifest.graphs:
        for kind, changed in _mutants(contents[f"{graph}.onnx"], most):
            found = _is_found(contents, manifest, graph, changed)
            count = counts[kind]
            if _movement(contents, manifest, graph, changed) > 2:
                count.visible, count.visible_found = count.visible + 1, count.visible_found + found
            else:
                count.hidden, count.hidden_found = count.hidden + 1, count.hidden_found + found
    return counts


def _mutants(content: bytes, most: int | None) -> Iterator[tuple[str, bytes]]:
    for kind, change in MUTATIONS.items():
        k = 0
        while most is None or k < most:
            model = onnx.load_from_string(content)
            if not change(model, k):
                break
            yield kind, model.SerializeToString()
            k += 1


def _is_found(
    contents: Mapping[str, bytes], manifest: Manifest, graph: str, changed: bytes
) -> bool:
    name = f"{graph}.onnx"
    record = replace(
        manifest.files[name], sha256=hashlib.sha256(changed).hexdigest(), bytes=len(changed)
    )
    altered = replace(manifest, files={**manifest.files, name: record})
    contents = {**contents, name: changed}
    checks = check_vectors(contents, altered, ENGINES["onnxruntime"], graphs=[graph])
    return any(not check.passed for check in checks)


def _movement(
    contents: Mapping[str, bytes], manifest: Manifest, graph: str, changed: bytes
) -> float:
    """The largest change of an output on the vectors, in units of eager's largest error on them."""
    outputs = [spec.name for spec in manifest.graphs[graph].outputs]
    runs = [
        ENGINES["onnxruntime"].open(content, outputs)
        for content in (contents[f"{graph}.onnx"], changed)
    ]
    largest, k = 0.0, 0
    while f"tests/{graph}/test_data_set_{k}/input_0.pb" in contents:
        feeds = {
            spec.name: parse(contents[f"tests/{graph}/test_data_set_{k}/input_{i}.pb"])
            for i, spec in enumerate(manifest.graphs[graph].inputs)
        }
        for output, before, after in zip(outputs, *(run(feeds) for run in runs), strict=True):
            parity = manifest.parity_of(graph, output)
            assert parity is not None
            finite = np.isfinite(before)
            if (finite != np.isfinite(after)).any():
                return float("inf")
            shift = np.abs(np.where(finite, after, 0.0) - np.where(finite, before, 0.0))
            eager = parity.tolerance / MARGIN * np.array(parity.scale)
            largest = max(largest, float((shift / eager).max()))
        k += 1
    return largest


def main() -> None:
    """Print or write the table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    page = parser.parse_args().write
    torch.set_num_threads(1)
    head = ["bundle", "changes", "visible", "found", "not visible", "found"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    with tempfile.TemporaryDirectory() as folder:
        for i, (name, config) in enumerate(FLOWS.items()):
            flow = lively(config, spread=0.04)
            counts = tally(export(flow, Path(folder) / f"{i}.rnvp")).values()
            cells = [
                sum(c.visible + c.hidden for c in counts),
                sum(c.visible for c in counts),
                sum(c.visible_found for c in counts),
                sum(c.hidden for c in counts),
                sum(c.hidden_found for c in counts),
            ]
            lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
            print(lines[-1], flush=True)
    if page is not None:
        write_measured(page, "tests.exporters.mutations", "\n".join(lines))


if __name__ == "__main__":
    main()
