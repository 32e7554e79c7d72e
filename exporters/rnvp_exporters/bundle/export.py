"""``export``: a trained flow becomes a bundle, proven, and published whole or not at all."""

import copy
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import onnx
import torch

import rnvp_deploy
from rnvp_deploy import RNVP
from rnvp_deploy.checkpoint import read_training
from rnvp_deploy.plain import to_plain
from rnvp_exporters.bundle import card, report
from rnvp_exporters.bundle.describe import summarise
from rnvp_exporters.bundle.reference import reference
from rnvp_exporters.errors import ExportError
from rnvp_exporters.graphs import (
    FORMATS,
    INTEGERS,
    IR_VERSION,
    Format,
    GraphDefinition,
    graph_definitions,
    trace,
)
from rnvp_exporters.lowering import lower
from rnvp_exporters.proof import parity, probes, vectors
from rnvp_exporters.proof.running import engine
from rnvp_runtime.bundle import manifest as bundle
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.publishing import check_folder_target, publish_folder
from rnvp_runtime.versions import MIN_ONNXRUNTIME

__all__ = ["OPSETS", "export"]

OPSETS = range(18, 24)
NEEDS_NEWER = {23: "1.23"}
"""Opset -> the oldest onnxruntime that runs it, if newer than the package's own oldest."""

Progress = Callable[[str], None]


def export(
    source: RNVP | str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("onnx", "torchscript"),
    dtype: str = "float32",
    opset: int = 18,
    force: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write the bundle ``target`` of a flow, or of the checkpoint at a path.

    Args:
        formats: ``onnx`` (always written: it is what the runtime runs), ``torchscript``, ``pt2``.
        dtype: of the graphs, ``float32`` or ``float64``.
        opset: 18 … 23. 18 runs everywhere.
        force: replace a bundle that is there already.
        progress: told in a few words what is being done.

    Returns:
        The manifest, with the parity of every output.

    Raises:
        CheckpointError: the path holds no checkpoint of ours.
        ParityError: a graph is not the same function as the flow. Nothing is published.
        ExportError: the target is there already, or an option has no such value.
    """
    target = Path(os.path.realpath(target))  # through a link, what it points to is replaced
    tell = progress or (lambda _: None)
    _check_options(target, formats, dtype, opset, force)
    checkpoint_sha, training = None, {}
    if not isinstance(source, RNVP):
        flow = rnvp_deploy.load(source)
        checkpoint_sha, training = _sha256(Path(source)), read_training(source)
    else:
        flow = copy.deepcopy(source).eval()
    _check_weights(flow)
    with (
        publish_folder(
            target, force=force, is_ours=_is_bundle, kind="bundle", error=ExportError
        ) as work,
        _one_thread(),
    ):
        known = reference(flow, training)
        return _write(work, target.name, flow, formats, dtype, opset, checkpoint_sha, known, tell)


def _check_options(
    target: Path, formats: Sequence[Format], dtype: str, opset: int, force: bool
) -> None:
    if unknown := set(formats) - FORMATS.keys():
        raise ExportError(f"there is no format {unknown.pop()!r}; there are {', '.join(FORMATS)}")
    if dtype not in ("float32", "float64"):
        raise ExportError(f"dtype is {dtype!r}; it must be float32 or float64")
    if opset not in OPSETS:
        raise ExportError(f"opset is {opset}; it must be {OPSETS[0]} … {OPSETS[-1]}")
    check_folder_target(target, force=force, is_ours=_is_bundle, kind="bundle", error=ExportError)


def _is_bundle(folder: Path) -> bool:
    return (folder / "manifest.json").is_file()


def _check_weights(flow: RNVP) -> None:
    for name, tensor in flow.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ExportError(f"the flow's {name} holds NaN or infinity; train it again")


def _write(
    folder: Path,
    name: str,
    flow: RNVP,
    formats: Sequence[Format],
    dtype: str,
    opset: int,
    checkpoint_sha: str | None,
    known: bundle.Reference | None,
    tell: Progress,
) -> Manifest:
    real = getattr(torch, dtype)
    bundle_id = identify(flow, dtype, opset)
    lowered = lower(flow)
    described, records = {}, []
    for graph in graph_definitions(flow.dim, flow.context_dim):
        drawn = probes.probe(flow, graph, real, exact=lowered.halves_apart)
        files: dict[str, str] = {}
        nodes = 0
        in_turn: list[Format] = ["onnx", *formats]
        for format in dict.fromkeys(in_turn):
            tell(f"{graph.name}: tracing to {format}")
            content = trace(graph, lowered, real, format, opset)
            if format == "onnx":
                content, nodes = _labelled(content, graph, flow, bundle_id)
            tell(f"{graph.name}: checking {format} against eager PyTorch")
            records += parity.check(drawn, engine(graph, content, format), format)
            files[format] = graph.name + FORMATS[format]
            (folder / files[format]).write_bytes(content)
        vectors.write_vectors(folder, flow, drawn)
        described[graph.name] = bundle.Graph(
            inputs=_specs(graph.inputs, dtype),
            outputs=_specs(graph.outputs, dtype),
            nodes=nodes,
            files=files,
        )
    tell("writing the report")
    draft = Manifest(
        id=bundle_id,
        dim=flow.dim,
        context_dim=flow.context_dim,
        columns=flow.columns,
        context_columns=flow.context_columns,
        dtype=dtype,
        opset=opset,
        ir_version=IR_VERSION,
        min_onnxruntime=NEEDS_NEWER.get(opset, MIN_ONNXRUNTIME),
        flow=summarise(flow),
        graphs=described,
        parity=tuple(records),
        files=_records(folder),
        versions={tool: version(tool) for tool in ("rnvp-deploy", "torch", "onnx", "onnxruntime")},
        checkpoint=bundle.Checkpoint(sha256=checkpoint_sha),
        reference=known,
    )
    (folder / "README.md").write_text(card.write(draft, name), encoding="utf-8", newline="\n")
    (folder / "report.html").write_text(
        report.write(draft, flow, name), encoding="utf-8", newline="\n"
    )
    whole = replace(draft, files=_records(folder))
    (folder / "manifest.json").write_text(whole.to_json(), encoding="utf-8", newline="\n")
    return Manifest.read(folder)  # what cannot be read back is not published


def identify(flow: RNVP, dtype: str, opset: int) -> str:
    """16 hexadecimal digits that follow from the flow's description, weights and the options."""
    said = [to_plain(flow.spec), flow.columns, flow.context_columns, dtype, opset]
    digest = hashlib.sha256(json.dumps(said).encode())
    for name, tensor in sorted(flow.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _labelled(
    content: bytes, graph: GraphDefinition, flow: RNVP, bundle_id: str
) -> tuple[bytes, int]:
    """The ONNX file with what it is in its metadata, for when it has left its folder."""
    model = onnx.load_from_string(content)
    labels = {
        "rnvp.bundle": bundle_id,
        "rnvp.graph": graph.name,
        "rnvp.dim": str(flow.dim),
        "rnvp.context_dim": str(flow.context_dim),
        "rnvp.columns": json.dumps(flow.columns, ensure_ascii=False),
        "rnvp.context_columns": json.dumps(flow.context_columns, ensure_ascii=False),
    }
    onnx.helper.set_model_props(model, labels)
    return model.SerializeToString(deterministic=True), len(model.graph.node)


def _specs(shapes: dict[str, tuple[int | str, ...]], dtype: str) -> tuple[bundle.TensorSpec, ...]:
    return tuple(
        bundle.TensorSpec(name, "int64" if name in INTEGERS else dtype, shape)
        for name, shape in shapes.items()
    )


def _records(folder: Path) -> dict[str, bundle.FileRecord]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): bundle.FileRecord(_sha256(path), path.stat().st_size)
        for path in files
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _one_thread() -> Iterator[None]:
    """The graphs are small: on a busy machine torch's threads wait longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
