"""Graphs: from the lowered flow to the bytes of ONNX, TorchScript and torch.export files.

``definitions`` names the graphs of a bundle; ``modules``, ``steps``, ``networks`` and ``scales``
are torch modules made from the lowered flow; ``noise`` and ``operators`` hold the operations that
torch and ONNX write differently; ``tracing`` turns a module into a file.
"""

from rnvp_exporters.graphs.definitions import INTEGERS, GraphDefinition, graph_definitions
from rnvp_exporters.graphs.tracing import FORMATS, IR_VERSION, Format, trace, without_warnings

__all__ = [
    "FORMATS",
    "INTEGERS",
    "IR_VERSION",
    "Format",
    "GraphDefinition",
    "graph_definitions",
    "trace",
    "without_warnings",
]
