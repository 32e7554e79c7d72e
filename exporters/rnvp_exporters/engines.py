"""A traced graph's bytes, run: the checks before publishing run what a user will run."""

import io
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from rnvp_exporters.errors import ExportError
from rnvp_exporters.parity import Run
from rnvp_exporters.probes import Arrays
from rnvp_exporters.tracing import Format, Graph, quiet

__all__ = ["engine"]


def engine(graph: Graph, content: bytes, format: Format) -> Run:
    """A function from named inputs to named outputs that runs ``content``.

    Raises:
        ExportError: onnxruntime has no kernel for an operator in this dtype.
    """
    if format == "onnx":
        return _onnxruntime(graph, content)
    with quiet():
        stream = io.BytesIO(content)
        if format == "torchscript":
            return _torch(graph, torch.jit.load(stream))  # type: ignore[no-untyped-call]
        return _torch(graph, torch.export.load(stream).module())


def _onnxruntime(graph: Graph, content: bytes) -> Run:
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


def _torch(graph: Graph, program: Any) -> Run:
    @torch.no_grad()
    def run(feeds: Arrays) -> Arrays:
        with quiet():
            outputs = program(*(torch.from_numpy(np.asarray(feeds[name])) for name in graph.inputs))
        return {name: value.numpy() for name, value in zip(graph.outputs, outputs, strict=True)}

    return run
