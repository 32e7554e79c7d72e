"""Running the bytes of a graph: the checks before publishing run the files that users run.

ONNX files are run by the runtime's own engine. TorchScript and torch.export programs have engines
of the same interface here, since the runtime does not import torch.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch

from rnvp_exporters.errors import ExportError
from rnvp_exporters.graphs import Format, GraphDefinition, without_warnings
from rnvp_exporters.proof.eager import Arrays
from rnvp_runtime import BundleError
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.engines import (
    ENGINES,
    Array,
    Engine,
    OpenOptions,
    Provider,
    Run,
    Signature,
)

__all__ = ["FORMAT_ENGINES", "GraphFunction", "open_graph"]

GraphFunction: TypeAlias = Callable[[Arrays], Arrays]
"""Named inputs to named outputs."""


@dataclass(frozen=True)
class TorchEngine:
    """PyTorch, for a program in one of its own formats; see ``rnvp_runtime.engines.Engine``."""

    format: str
    load: Callable[[io.BytesIO], Any]
    keeps_nan: bool = True
    wrong_graphs: Mapping[str, str] = field(default_factory=dict)

    def check(self, manifest: Manifest, providers: Sequence[Provider] = ()) -> None:
        """PyTorch is installed wherever this package is."""

    def open(
        self,
        content: bytes,
        outputs: Sequence[str],
        *,
        signature: Signature | None = None,
        options: OpenOptions | None = None,
    ) -> Run:
        """See ``rnvp_runtime.engines.Engine.open``. A signature is needed: inputs have no names."""
        assert signature is not None
        inputs, positions = signature.inputs, [signature.outputs.index(name) for name in outputs]
        with without_warnings():
            program = self.load(io.BytesIO(content))

        @torch.no_grad()
        def run(feeds: Mapping[str, Array]) -> list[Array]:
            with without_warnings():
                results = program(*(torch.from_numpy(np.asarray(feeds[name])) for name in inputs))
            return [results[i].numpy() for i in positions]

        return run


FORMAT_ENGINES: dict[Format, Engine] = {
    "onnx": ENGINES["onnxruntime"],
    "torchscript": TorchEngine("torchscript", torch.jit.load),
    "pt2": TorchEngine("pt2", lambda stream: torch.export.load(stream).module()),
}
"""What runs the files of each format in the checks before publishing."""


def open_graph(graph: GraphDefinition, content: bytes, format: Format | Engine) -> GraphFunction:
    """A function from named inputs to named outputs that runs ``content``.

    Args:
        graph: what it computes.
        content: the bytes of the file.
        format: of the file, or an engine of its own for it.

    Raises:
        ExportError: onnxruntime has no kernel for an operator in this dtype.
    """
    if format == "onnx":
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    names = tuple(graph.outputs)
    signature = Signature(graph.name, tuple(graph.inputs), names)
    try:
        engine = FORMAT_ENGINES[format] if isinstance(format, str) else format
        run = engine.open(content, names, signature=signature)
    except BundleError as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
        reason = str(error).split(":")[-1].strip()
        raise ExportError(
            f"onnxruntime cannot run {graph.name} in this dtype: {reason}. Export with "
            "--dtype float32, or train with another activation"
        ) from None
    return lambda feeds: dict(zip(names, run(feeds), strict=True))
