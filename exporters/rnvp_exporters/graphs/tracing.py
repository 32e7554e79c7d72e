"""From an inference module to the bytes of a file: ONNX, TorchScript, torch.export."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Literal, TypeAlias

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn
from torch.fx import GraphModule

from rnvp_exporters.graphs.definitions import INTEGERS, GraphDefinition
from rnvp_exporters.graphs.exact_scalars import ScalarsAsTensors
from rnvp_exporters.graphs.operators import ONNX, PLAIN, TRANSLATIONS, Operators
from rnvp_exporters.lowering import Lowered

__all__ = ["FORMATS", "IR_VERSION", "Format", "trace", "without_warnings"]

Format: TypeAlias = Literal["onnx", "torchscript", "pt2"]
FORMATS: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".ts", "pt2": ".pt2"}
"""The formats, each with the suffix of its files."""

IR_VERSION = 10
ROWS = 3  # of the traced example: torch would specialise the graph to 0 or 1 rows


def trace(
    graph: GraphDefinition,
    lowered: Lowered,
    dtype: torch.dtype,
    format: Format,
    opset: int,
    *,
    operators: Operators | None = None,
) -> bytes:
    """The bytes of ``graph`` of a lowered flow in one format, with the weights inside.

    Args:
        operators: how the graph is written; by default the best for the format.
    """
    operators = operators or (ONNX if format == "onnx" else PLAIN)
    module = graph.module(lowered, operators, dtype).eval().requires_grad_(False)
    example = _example(graph, dtype)
    with without_warnings():
        match format:
            case "onnx":
                return _onnx(graph, module, example, opset)
            case "torchscript":
                return _torchscript(module, example)
            case "pt2":
                return _pt2(graph, module, example)


def _example(graph: GraphDefinition, dtype: torch.dtype) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    scalars = {"seed": 7, "start": 0, "count": ROWS, "temperature": 1.0}
    return tuple(
        torch.tensor(scalars[name], dtype=torch.int64 if name in INTEGERS else dtype)
        if name in scalars
        else torch.randn(
            [ROWS if size == "n" else int(size) for size in shape], generator=draw, dtype=dtype
        )
        for name, shape in graph.inputs.items()
    )


def _dynamic(graph: GraphDefinition) -> tuple[dict[int, Any], ...]:
    n = torch.export.Dim("n")
    return tuple({0: n} if shape[:1] == ("n",) else {} for shape in graph.inputs.values())


def _onnx(
    graph: GraphDefinition, module: nn.Module, example: tuple[Tensor, ...], opset: int
) -> bytes:
    dynamic: tuple[Any, ...] = _dynamic(graph)
    if not isinstance(module, GraphModule):  # a recorded module holds no Python numbers
        module, dynamic = _ExactScalars(module), (dynamic,)
    program = torch.onnx.export(
        module,
        example,
        dynamo=True,
        dynamic_shapes=dynamic,
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        opset_version=opset,
        custom_translation_table=TRANSLATIONS,
        external_data=False,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    content: bytes = _clean(_simplify(program.model), graph).SerializeToString()
    return content


class _ExactScalars(nn.Module):
    """A module whose Python numbers are traced as tensors of their operand's dtype."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        with ScalarsAsTensors():
            return self.module(*inputs)


def _torchscript(module: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    stream = io.BytesIO()
    torch.jit.save(torch.jit.freeze(traced.eval()), stream)
    return stream.getvalue()


def _pt2(graph: GraphDefinition, module: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    program = torch.export.export(module, example, dynamic_shapes=_dynamic(graph))
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def _simplify(model: ir.Model) -> onnx.ModelProto:
    """Fold constants, and remove unused and duplicate nodes.

    The exporter's own optimizer does this too, but it also treats an addend below 10⁻⁸ as zero and
    a factor near 1 as 1. A flow's weights must not be rounded in that way.
    """
    fold_constants(model)
    ir.passes.Sequential(
        passes.IdentityEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.RemoveUnusedOpsetsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.NameFixPass(),
    )(model)
    return ir.to_proto(model)


def _clean(model: onnx.ModelProto, graph: GraphDefinition) -> onnx.ModelProto:
    """Remove the exporter's notes, which contain file names; call the batch axis n everywhere."""
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = "n"
    for initializer in model.graph.initializer:
        del initializer.metadata_props[:]
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "rnvp-deploy", version("rnvp-deploy")
    model.graph.name = graph.name
    return model


@contextmanager
def without_warnings() -> Iterator[None]:
    """Without torch's warnings about its own interfaces; the files that they write are tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
