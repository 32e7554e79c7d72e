"""A graph of a flow in every format of a bundle, before it is checked."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
import torch

from rnvp_deploy import RNVP
from rnvp_deploy.plain import to_plain
from rnvp_exporters.graphs import FORMATS, INTEGERS, Format, GraphDefinition, trace
from rnvp_exporters.lowering import Lowered
from rnvp_exporters.proof.running import GraphFunction, open_graph
from rnvp_runtime.bundle import manifest as bundle
from rnvp_runtime.bundle.graph_file import graph_labels
from rnvp_runtime.bundle.tensors import TensorSpec

__all__ = ["Progress", "TracedGraph", "identify", "trace_graph"]

Progress = Callable[[str], None]
"""Called with a few words about each step."""


@dataclass(frozen=True)
class TracedGraph:
    """One graph in every format."""

    graph: GraphDefinition
    contents: dict[Format, bytes]
    nodes: int  # of the ONNX graph
    run: GraphFunction  # the ONNX graph in onnxruntime

    @property
    def files(self) -> dict[str, str]:
        """Format → file name."""
        return {format: self.graph.name + FORMATS[format] for format in self.contents}

    def described(self, dtype: str) -> bundle.Graph:
        """The description of the graph in the manifest."""
        return bundle.Graph(
            inputs=_specs(self.graph.inputs, dtype),
            outputs=_specs(self.graph.outputs, dtype),
            nodes=self.nodes,
            files=self.files,
        )


def trace_graph(
    graph: GraphDefinition,
    lowered: Lowered,
    flow: RNVP,
    *,
    formats: Sequence[Format],
    dtype: str,
    opset: int,
    bundle_id: str,
    tell: Progress,
) -> TracedGraph:
    """Trace ``graph`` to each of ``formats``, ONNX among them.

    Raises:
        ExportError: onnxruntime has no kernel for an operator in this dtype.
    """
    contents: dict[Format, bytes] = {}
    nodes = 0
    for format in formats:
        tell(f"{graph.name}: tracing to {format}")
        contents[format] = trace(graph, lowered, getattr(torch, dtype), format, opset)
        if format == "onnx":
            contents[format], nodes = _labelled(contents[format], graph, flow, bundle_id)
    return TracedGraph(graph, contents, nodes, open_graph(graph, contents["onnx"], "onnx"))


def identify(flow: RNVP, dtype: str, opset: int) -> str:
    """16 hexadecimal digits: a hash of the flow's description, its weights and the options."""
    described = [to_plain(flow.spec), flow.columns, flow.context_columns, dtype, opset]
    digest = hashlib.sha256(json.dumps(described).encode())
    for name, tensor in sorted(flow.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _labelled(
    content: bytes, graph: GraphDefinition, flow: RNVP, bundle_id: str
) -> tuple[bytes, int]:
    """The ONNX file with its identity in its metadata, for when it is copied out of its folder."""
    model = onnx.load_from_string(content)
    labels = graph_labels(bundle_id, graph.name, flow.columns, flow.context_columns)
    onnx.helper.set_model_props(model, labels)
    return model.SerializeToString(deterministic=True), len(model.graph.node)


def _specs(shapes: dict[str, tuple[int | str, ...]], dtype: str) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name, "int64" if name in INTEGERS else dtype, shape)
        for name, shape in shapes.items()
    )
