"""The bytes of one graph of a bundle, checked against the manifest."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from rnvp_runtime.bundle.limits import MAX_FILE_BYTES
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import FileFault, Source
from rnvp_runtime.bundle.tensors import TensorSpec
from rnvp_runtime.errors import BundleError

__all__ = ["check_structure", "graph_file", "graph_labels", "read_file", "read_graph"]


def graph_file(manifest: Manifest, graph: str, format: str) -> str:
    """The name of the file that holds ``graph`` in ``format``, below the bundle's folder.

    Raises:
        BundleError: the bundle has no such file. The text names the formats that it has.
    """
    if graph not in manifest.graphs:
        raise BundleError(
            f"the bundle has no {graph} graph, only {', '.join(manifest.graphs)}: an older "
            "rnvp-deploy wrote it, export its checkpoint again"
        )
    files = manifest.graphs[graph].files
    if format not in files:
        refusal = manifest.native_refusal if format == "native" else None
        why = f" ({refusal})" if refusal else ""
        raise BundleError(
            f"the bundle has no {graph} graph in the format {format!r}, only {', '.join(files)}"
            f"{why}: export it again with that format, or choose another engine"
        )
    return files[format]


def read_graph(source: Source, manifest: Manifest, graph: str, format: str) -> bytes:
    """The content of the file that holds ``graph`` in ``format``.

    Raises:
        BundleError: the file is missing, cannot be read, is not the one that was exported, or is
            an ONNX file that holds something else than this graph.
    """
    content = read_file(source, manifest, graph_file(manifest, graph, format))
    if format == "onnx":
        check_structure(content, manifest, graph)
    return content


def read_file(source: Source, manifest: Manifest, file: str) -> bytes:
    """The content of ``file``, whose size and sha256 are those of the manifest.

    Raises:
        FileFault: it is missing, cannot be read, or is not the one that was exported.
    """
    record = manifest.files[file]
    content = source.read(file, record.bytes, MAX_FILE_BYTES)
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise FileFault(source.name, file, "is not the file that was exported (its sha256 differs)")
    return content


def graph_labels(
    bundle: str, graph: str, columns: Sequence[str], context_columns: Sequence[str]
) -> dict[str, str]:
    """The metadata of an ONNX file, which says what it is when it is copied out of its folder."""
    return {
        "rnvp.bundle": bundle,
        "rnvp.graph": graph,
        "rnvp.dim": str(len(columns)),
        "rnvp.context_dim": str(len(context_columns)),
        "rnvp.columns": json.dumps(columns, ensure_ascii=False),
        "rnvp.context_columns": json.dumps(context_columns, ensure_ascii=False),
    }


def check_structure(content: bytes, manifest: Manifest, graph: str) -> None:
    """Check that the ONNX file ``content`` is the ``graph`` that ``manifest`` describes.

    Raises:
        BundleError: it holds something that no bundle needs (see
            `rnvp_runtime.bundle.onnx_structure`), or another graph than the manifest says.
    """
    from rnvp_runtime.bundle.onnx_structure import read_structure  # numpy is imported late

    file, described = manifest.graphs[graph].files["onnx"], manifest.graphs[graph]
    try:
        found = read_structure(content)
    except ValueError as error:
        raise BundleError(f"{file} is refused: {error}. Export the bundle again") from None
    said = graph_labels(manifest.id, graph, manifest.columns, manifest.context_columns)
    pairs: list[tuple[str, int | str | tuple[TensorSpec, ...], Any]] = [
        ("IR version", found.ir_version, manifest.ir_version),
        ("opset", found.opset, manifest.opset),
        *(
            (f"metadata {key}", found.metadata.get(key, value), value)
            for key, value in said.items()
        ),
        ("inputs", found.inputs, described.inputs),
        ("outputs", found.outputs, described.outputs),
    ]
    for what, has, expected in pairs:
        if has != expected:
            raise BundleError(
                f"{file} has the {what} {_in_words(has)}, the manifest says {_in_words(expected)}. "
                "Export the bundle again"
            )


def _in_words(value: int | str | tuple[TensorSpec, ...]) -> str:
    if not isinstance(value, tuple):
        return ascii(value)[:80]
    return ", ".join(f"{spec.name!a} {spec.dtype} {spec.shape!a}" for spec in value)[:400]
