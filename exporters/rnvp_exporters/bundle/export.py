"""``export``: write the bundle of a trained flow, atomically, after its graphs are checked."""

import copy
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from rnvp_deploy import RNVP
from rnvp_deploy import checkpoint as checkpoints
from rnvp_deploy.changes import find_change, unwrapped
from rnvp_exporters import report
from rnvp_exporters.bundle import card as model_card
from rnvp_exporters.bundle import signing
from rnvp_exporters.bundle.card_text import CardText, read_card_text
from rnvp_exporters.bundle.describe import summarise
from rnvp_exporters.bundle.reference import reference
from rnvp_exporters.bundle.traced_graph import Progress, TracedGraph, identify, trace_graph
from rnvp_exporters.errors import ExportError
from rnvp_exporters.graphs import FORMATS, IR_VERSION, Format, graph_definitions
from rnvp_exporters.lowering import lower
from rnvp_exporters.native.flow_bin import FILE
from rnvp_exporters.native.proving import prove_native
from rnvp_exporters.proof import parity, probes, vectors
from rnvp_exporters.proof.precision import check_precision, measure_precision, with_sensitivity
from rnvp_exporters.proof.running import open_graph
from rnvp_runtime.bundle import manifest as bundle
from rnvp_runtime.bundle.graph_file import read_graph
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.bundle.sources import open_source
from rnvp_runtime.outputs import check_output
from rnvp_runtime.publishing import check_folder_target, publish_folder
from rnvp_runtime.versions import MIN_ONNXRUNTIME

__all__ = ["OPSETS", "export"]

OPSETS = range(18, 24)
NEEDS_NEWER = {23: "1.23"}
"""Opset -> the oldest onnxruntime that runs it, if newer than the package's own oldest."""


def export(
    source: RNVP | str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = ("onnx", "torchscript"),
    dtype: str | None = None,
    opset: int = 18,
    accept_loss: bool = False,
    card: str | os.PathLike[str] | None = None,
    sign_with: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write the bundle ``target`` of a flow, or of the checkpoint at a path.

    Every bundle also gets ``flow.bin``, for the native engine, if that engine has all layers of the
    flow. If a layer is missing, or the engine cannot be checked here, the manifest's
    ``native_refusal`` says why.

    Args:
        source: the flow, or the path of its checkpoint. A flow of ``torch.compile`` or
            ``DataParallel`` is unwrapped.
        target: the path of the bundle, such as ``model.rnvp``.
        formats: ``onnx`` (always written, since the runtime runs it), ``torchscript``, ``pt2``.
        dtype: of the graphs, ``float32`` or ``float64``; by default that of the flow.
        opset: 18 … 23. 18 runs everywhere.
        accept_loss: export a flow whose errors in ``dtype`` exceed the limits. The manifest records
            them.
        card: the path of a Markdown or YAML file with the licence, tags, intended use and
            limitations of the flow, for the model card: see docs/bundle.md.
        sign_with: the path of a private key in PEM, with which all files are signed: see
            SECURITY.md. The signature is the bundle's ``model.sig``.
        force: replace an existing bundle.
        progress: called with a few words about each step.

    Returns:
        The manifest, with the parity of every output.

    Raises:
        CheckpointError: ``source`` is not an rnvp-deploy checkpoint.
        ParityError: the error of an exported graph is too large. Nothing is published.
        PrecisionError: the flow is not usable in ``dtype``, or overflows. Nothing is published.
        OutputError: the target exists and ``force`` is false, is also an input, or has the suffix
            of another kind of file.
        ExportError: the target exists and is not a bundle, an option's value is not supported, the
            key is not one, the card cannot be read, a weight is NaN or infinite, or the modules
            of the flow are not what its ``spec`` builds.
    """
    target = Path(os.path.realpath(target))  # through a link, what it points to is replaced
    tell = progress or (lambda _: None)
    source = _flow_or_path(source)
    inputs = () if isinstance(source, RNVP) else (source,)
    check_output(target, "bundle", inputs=inputs, force=force, how="force=True")
    check_folder_target(target, force=force, is_ours=_is_bundle, kind="bundle", error=ExportError)
    text = CardText() if card is None else read_card_text(card)
    key = None if sign_with is None else Path(sign_with)
    if key:
        signing.check_key(key)
    checkpoint_sha, training = None, {}
    if not isinstance(source, RNVP):
        checkpoint = checkpoints.read(source)
        flow, training, checkpoint_sha = checkpoint.flow, checkpoint.training, checkpoint.sha256
    else:
        flow = copy.deepcopy(source).eval()
        flow.columns, flow.context_columns = tuple(flow.columns), tuple(flow.context_columns)
    options = _Options(
        tuple(dict.fromkeys(("onnx", *formats))),
        dtype or str(flow.dtype).removeprefix("torch."),
        opset,
        accept_loss,
        text,
    )
    _check_weights(flow)
    with (
        publish_folder(
            target, force=force, is_ours=_is_bundle, kind="bundle", error=ExportError
        ) as work,
        _one_thread(),
    ):
        origin = _Origin(checkpoint_sha, training, reference(flow, training))
        manifest = _write(work, target.name, flow, options, origin, tell)
        if key:
            signing.sign(work, key)
        return manifest


@dataclass(frozen=True)
class _Options:
    """The options of an export."""

    formats: tuple[Format, ...]
    dtype: str
    opset: int
    accept_loss: bool
    card: CardText

    def __post_init__(self) -> None:
        if unknown := set(self.formats) - FORMATS.keys():
            raise ExportError(f"format is {unknown.pop()!r}; expected one of {', '.join(FORMATS)}")
        if self.dtype not in ("float32", "float64"):
            raise ExportError(f"dtype is {self.dtype!r}; expected float32 or float64")
        if self.opset not in OPSETS:
            raise ExportError(f"opset is {self.opset}; expected {OPSETS[0]} … {OPSETS[-1]}")


@dataclass(frozen=True)
class _Origin:
    """The facts about the flow that are not in its weights."""

    sha256: str | None  # of the checkpoint
    training: Mapping[str, Any]  # the record in it; empty for a flow in memory
    reference: bundle.Reference | None


def _flow_or_path(source: Any) -> RNVP | str | os.PathLike[str]:
    """The flow itself, or a path. ExportError for anything else, before any work."""
    if isinstance(source, str | os.PathLike):
        return source
    flow = unwrapped(source)
    if (change := find_change(flow)) is not None:
        raise ExportError(f"this flow cannot be exported: {change}")
    assert isinstance(flow, RNVP)
    return flow


def _is_bundle(folder: Path) -> bool:
    return (folder / "manifest.json").is_file()


def _check_weights(flow: RNVP) -> None:
    for name, tensor in flow.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ExportError(f"the flow's {name} contains NaN or infinity; train it again")


def _write(
    folder: Path,
    name: str,
    flow: RNVP,
    options: _Options,
    origin: _Origin,
    tell: Progress,
) -> Manifest:
    """Trace, prove and describe the flow in ``folder``."""
    dtype, bundle_id = options.dtype, identify(flow, options.dtype, options.opset)
    lowered = lower(flow)
    traced = {
        graph.name: trace_graph(
            graph,
            lowered,
            flow,
            formats=options.formats,
            dtype=dtype,
            opset=options.opset,
            bundle_id=bundle_id,
            tell=tell,
        )
        for graph in graph_definitions(flow.dim, flow.context_dim)
    }
    runs = {name: graph.run for name, graph in traced.items()}
    tell(f"measuring the flow in {dtype}")
    precision = measure_precision(flow, dtype, runs["density"], runs["inverse"])
    precision = check_precision(precision, dtype, accept_loss=options.accept_loss)
    proved = _prove(folder, flow, traced.values(), dtype, lowered.halves_apart, tell)
    precision = with_sensitivity(precision, proved.sensitivity)
    precision = check_precision(precision, dtype, accept_loss=options.accept_loss)
    tell("measuring the time of a call")
    latency = report.measure_latency(flow, runs, dtype)
    tell("writing the report")
    draft = Manifest(
        id=bundle_id,
        dim=flow.dim,
        context_dim=flow.context_dim,
        columns=flow.columns,
        context_columns=flow.context_columns,
        dtype=dtype,
        opset=options.opset,
        ir_version=IR_VERSION,
        min_onnxruntime=NEEDS_NEWER.get(options.opset, MIN_ONNXRUNTIME),
        flow=summarise(flow),
        graphs=proved.graphs,
        parity=proved.records,
        files=_records(folder),
        versions={tool: version(tool) for tool in ("rnvp-deploy", "torch", "onnx", "onnxruntime")},
        checkpoint=bundle.Checkpoint(sha256=origin.sha256),
        precision=precision,
        reference=origin.reference,
        native_refusal=proved.native_refusal,
    )
    (folder / "README.md").write_text(
        model_card.write(draft, name, options.card), encoding="utf-8", newline="\n"
    )
    (folder / "report.html").write_text(
        report.write(draft, flow, name, origin.training, latency), encoding="utf-8", newline="\n"
    )
    whole = replace(draft, files=_records(folder))
    (folder / "manifest.json").write_text(whole.to_json(), encoding="utf-8", newline="\n")
    # A bundle that the runtime would refuse to open is not published.
    published = Manifest.read(folder)
    for graph in published.graphs:
        read_graph(open_source(folder), published, graph, "onnx")
    return published


@dataclass(frozen=True)
class _Proved:
    """The results of the checks, for the manifest."""

    graphs: dict[str, bundle.Graph]
    records: tuple[bundle.Parity, ...]
    sensitivity: float  # of the least sensitive graph
    native_refusal: str | None


def _prove(
    folder: Path,
    flow: RNVP,
    traced: Iterable[TracedGraph],
    dtype: str,
    exact: bool,
    tell: Progress,
) -> _Proved:
    """Compare each graph in each format, and the native engine, with eager; write what passes."""
    described, records, sensitivities, checked = {}, [], [], {}
    for one in traced:
        graph = one.graph
        tell(f"{graph.name}: checking against eager PyTorch")
        drawn = probes.probe(flow, graph, getattr(torch, dtype), exact=exact)
        chosen = vectors.choose_vectors(flow, drawn)
        for format, content in one.contents.items():
            run = one.run if format == "onnx" else open_graph(graph, content, format)
            records += parity.check(chosen, run, format)
            (folder / one.files[format]).write_bytes(content)
        sensitivities.append(vectors.sensitivity(flow, chosen))
        vectors.write_vectors(folder, chosen)
        checked[graph.name], described[graph.name] = chosen, one.described(dtype)
    tell("native engine: checking against eager PyTorch")
    native = prove_native(flow, dtype, checked)
    if native.content is not None:
        (folder / FILE).write_bytes(native.content)
    if native.records:
        described = {
            name: replace(graph, files={**graph.files, "native": FILE})
            for name, graph in described.items()
        }
    return _Proved(described, (*records, *native.records), min(sensitivities), native.refusal)


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
    """Use one thread: for small graphs on a busy machine, threads wait longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
