"""Running the bytes of a graph: the checks before publishing run the files that users run."""

import io
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
import torch

from rnvp_exporters.errors import ExportError
from rnvp_exporters.graphs import Format, GraphDefinition, without_warnings
from rnvp_exporters.proof.eager import Arrays

__all__ = ["GraphFunction", "engine"]

GraphFunction: TypeAlias = Callable[[Arrays], Arrays]
"""Named inputs to named outputs."""


def engine(graph: GraphDefinition, content: bytes, format: Format) -> GraphFunction:
    """A function from named inputs to named outputs that runs ``content``.

    Raises:
        ExportError: onnxruntime has no kernel for an operator in this dtype.
    """
    if format == "onnx":
        return _onnxruntime(graph, content)
    with without_warnings():
        stream = io.BytesIO(content)
        if format == "torchscript":
            return _torch(graph, torch.jit.load(stream))  # type: ignore[no-untyped-call]
        return _torch(graph, torch.export.load(stream).module())


def _onnxruntime(graph: GraphDefinition, content: bytes) -> GraphFunction:
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        if "NOT_IMPLEMENTED" not in str(error):
            raise
        reason = str(error).split(":")[-1].strip()
        raise ExportError(
            f"onnxruntime cannot run {graph.name} in this dtype: {reason}. Export with "
            "--dtype float32, or train with another activation"
        ) from None
    names = list(graph.outputs)

    def run(feeds: Arrays) -> Arrays:
        return dict(zip(names, session.run(names, feeds), strict=True))

    return run


def _torch(graph: GraphDefinition, program: Any) -> GraphFunction:
    @torch.no_grad()
    def run(feeds: Arrays) -> Arrays:
        with without_warnings():
            outputs = program(*(torch.from_numpy(np.asarray(feeds[name])) for name in graph.inputs))
        return {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}

    return run
