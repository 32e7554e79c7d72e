"""A bundle as a model repository of NVIDIA's Triton Inference Server.

    repository/
      density/config.pbtxt      what the model takes and gives
      density/1/model.onnx      the graph of the bundle
      density/warmup/x          the first row of the test vector, which Triton runs at start
      inverse/ ...

density, inverse and gradient are batched by Triton: its batch is their rows. sampler takes scalars,
which have no batch, so that its max_batch_size is 0.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_exporters.errors import ExportError
from rnvp_runtime.bundle.graph_file import read_file, read_graph
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import BundlePath, Source, open_source
from rnvp_runtime.bundle.tensor_proto import parse
from rnvp_runtime.bundle.tensors import TensorSpec
from rnvp_runtime.publishing import check_folder_target, publish_folder

__all__ = ["check_target", "write_triton"]

_TYPES = {"float32": "TYPE_FP32", "float64": "TYPE_FP64", "int64": "TYPE_INT64"}
_MOST_ROWS = 65_536
_KIND = "Triton model repository"


def write_triton(
    bundle: BundlePath, target: str | os.PathLike[str], *, force: bool = False
) -> tuple[str, ...]:
    """Write the model repository ``target`` for the graphs of ``bundle``.

    Args:
        bundle: a bundle.
        target: the folder. It must not exist.
        force: replace a repository that this function wrote.

    Returns:
        The names of the files.

    Raises:
        BundleError: it is not a bundle, or a file of it is not as exported.
        ExportError: the target is there already.
    """
    source = open_source(bundle)
    manifest = Manifest.read_from(source)
    with publish_folder(
        target, force=force, is_ours=_is_repository, kind=_KIND, error=ExportError
    ) as work:
        for graph in manifest.graphs:
            folder = work / graph
            (folder / "1").mkdir(parents=True)
            model = read_graph(source, manifest, graph, "onnx")
            (folder / "1" / "model.onnx").write_bytes(model)
            warmup = _first_rows(source, manifest, graph)
            (folder / "warmup").mkdir()
            for name, values in warmup.items():
                little = values.astype(values.dtype.newbyteorder("<"), copy=False)
                (folder / "warmup" / name).write_bytes(little.tobytes())
            text = _config(manifest, graph, warmup)
            (folder / "config.pbtxt").write_text(text, encoding="utf-8")
        return tuple(sorted(p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file()))


def check_target(target: Path, *, force: bool) -> None:
    """Refuse a target that exists, unless it is a model repository and ``force`` is true.

    Raises:
        ExportError: the target is there already, or the folder above it does not exist.
    """
    check_folder_target(target, force=force, is_ours=_is_repository, kind=_KIND, error=ExportError)


def _is_repository(folder: Path) -> bool:
    return (folder / "density" / "config.pbtxt").is_file()


def _config(manifest: Manifest, graph: str, warmup: dict[str, NDArray[Any]]) -> str:
    """config.pbtxt."""
    batched = graph != "sampler"
    inputs = manifest.graphs[graph].inputs
    lines = [
        f'name: "{graph}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {_MOST_ROWS if batched else 0}",
        *_tensors("input", inputs, batched),
        *_tensors("output", manifest.graphs[graph].outputs, batched),
        *(["dynamic_batching { }"] if batched else []),
        "instance_group [ { count: 1 kind: KIND_CPU } ]",
        "# More threads inside one call are slower than instances side by side: raise count.",
        *(
            f'parameters {{ key: "{key}" value: {{ string_value: "1" }} }}'
            for key in ("intra_op_thread_count", "inter_op_thread_count")
        ),
        "model_warmup [",
        '  { name: "the first row of the test vector" batch_size: 1',
    ]
    for spec in inputs:
        shape = warmup[spec.name].shape
        dims = (shape[1:] if batched else shape) or (1,)
        lines.append(
            f'    inputs {{ key: "{spec.name}" value: {{ data_type: {_TYPES[spec.dtype]} '
            f'dims: {_numbers(dims)} input_data_file: "{spec.name}" }} }}'
        )
    return "\n".join([*lines, "  }", "]", ""])


def _tensors(kind: str, specs: tuple[TensorSpec, ...], batched: bool) -> list[str]:
    """The lines of the inputs or the outputs."""
    entries = []
    for spec in specs:
        shape = [size if isinstance(size, int) else -1 for size in spec.shape]
        dims = shape[1:] if batched else shape
        # Triton has no tensor without axes: it passes one number, and the graph gets a scalar.
        reshape = "" if dims else " reshape { shape: [ ] }"
        entries.append(
            f'  {{ name: "{spec.name}" data_type: {_TYPES[spec.dtype]} '
            f"dims: {_numbers(dims or [1])}{reshape} }}"
        )
    return [f"{kind} [", ",\n".join(entries), "]"]


def _numbers(values: Any) -> str:
    return f"[ {', '.join(map(str, values))} ]"


def _first_rows(source: Source, manifest: Manifest, graph: str) -> dict[str, NDArray[Any]]:
    """The inputs of the graph's first test vector: one row of each, and its scalars."""
    found = {}
    for i, spec in enumerate(manifest.graphs[graph].inputs):
        file = f"tests/{graph}/test_data_set_0/input_{i}.pb"
        values = parse(read_file(source, manifest, file))
        found[spec.name] = values[:1] if values.ndim else values
    if "count" in found:  # of the sampler, with one row of context
        found["count"] = np.array(1, np.int64)
    return found
