"""From an inference module to the bytes of a file: ONNX, TorchScript, torch.export."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, TypeAlias

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rnvp_deploy import RNVP
from rnvp_exporters.inference import Density, Inverse, Sampler
from rnvp_exporters.operators import ONNX, PLAIN, TRANSLATIONS, Operators

__all__ = ["FORMATS", "INTEGERS", "IR_VERSION", "Format", "Graph", "graphs", "quiet", "trace"]

Format: TypeAlias = Literal["onnx", "torchscript", "pt2"]
FORMATS: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".ts", "pt2": ".pt2"}
"""The formats, each with its files' ending."""

INTEGERS = ("seed", "start", "count")
"""The inputs that are int64; all others are floats."""

IR_VERSION = 10
ROWS = 3  # of the example that is traced: 0 and 1 would be specialised away


@dataclass(frozen=True)
class Graph:
    """One of a bundle's graphs: its module, and its tensors' names with their shapes.

    A shape's "n" is the batch, or the sampler's count.
    """

    name: str
    module: Callable[[RNVP, Operators, torch.dtype], nn.Module]
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]


def graphs(flow: RNVP) -> list[Graph]:
    """The three graphs of ``flow``."""
    rows, vector = ("n", flow.dim), ("n",)
    context: dict[str, tuple[int | str, ...]] = (
        {"context": ("n", flow.context_dim)} if flow.context_dim else {}
    )
    scalars: dict[str, tuple[int | str, ...]] = dict.fromkeys(
        ("seed", "start", "count", "temperature"), ()
    )
    return [
        Graph("density", Density, {"x": rows, **context}, {"log_prob": vector, "z": rows}),
        Graph("inverse", Inverse, {"z": rows, **context}, {"x": rows, "log_prob": vector}),
        Graph("sampler", Sampler, {**scalars, **context}, {"x": rows, "log_prob": vector}),
    ]


def trace(graph: Graph, flow: RNVP, dtype: torch.dtype, format: Format, opset: int) -> bytes:
    """The bytes of ``graph`` of ``flow`` in one format, weights inside."""
    operators = ONNX if format == "onnx" else PLAIN
    module = graph.module(flow, operators, dtype).eval().requires_grad_(False)
    example = _example(graph, dtype)
    with quiet():
        match format:
            case "onnx":
                return _onnx(graph, module, example, opset)
            case "torchscript":
                return _torchscript(module, example)
            case "pt2":
                return _pt2(graph, module, example)


def _example(graph: Graph, dtype: torch.dtype) -> tuple[Tensor, ...]:
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


def _dynamic(graph: Graph) -> tuple[dict[int, Any], ...]:
    n = torch.export.Dim("n")
    return tuple({0: n} if shape[:1] == ("n",) else {} for shape in graph.inputs.values())


def _onnx(graph: Graph, module: nn.Module, example: tuple[Tensor, ...], opset: int) -> bytes:
    program = torch.onnx.export(
        _ExactScalars(module),
        example,
        dynamo=True,
        dynamic_shapes=(_dynamic(graph),),
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        opset_version=opset,
        custom_translation_table=TRANSLATIONS,
        external_data=False,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    content: bytes = _clean(_tidy(program.model), graph).SerializeToString()
    return content


class _ExactScalars(nn.Module):
    """A module whose Python numbers are traced as tensors of the dtype that they meet.

    The ONNX exporter writes a Python number as float32, also where it multiplies a float64.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        with _ScalarsAsTensors():
            return self.module(*inputs)


class _ScalarsAsTensors(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        double = any(isinstance(arg, Tensor) and arg.dtype == torch.float64 for arg in args)
        if double and any(isinstance(arg, float) for arg in args):
            args = tuple(
                torch.tensor(arg, dtype=torch.float64) if isinstance(arg, float) else arg
                for arg in args
            )
        return func(*args, **(kwargs or {}))


def _torchscript(module: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    stream = io.BytesIO()
    torch.jit.save(torch.jit.freeze(traced.eval()), stream)
    return stream.getvalue()


def _pt2(graph: Graph, module: nn.Module, example: tuple[Tensor, ...]) -> bytes:
    program = torch.export.export(module, example, dynamic_shapes=_dynamic(graph))
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()


def _tidy(model: ir.Model) -> onnx.ModelProto:
    """Constants folded, nothing unused, nothing twice.

    The exporter's own optimizer would do this too, and then apply rewrites that take an addend
    below 10⁻⁸ for zero and a factor near 1 for 1. A flow's weights are not to be rounded so.
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


def _clean(model: onnx.ModelProto, graph: Graph) -> onnx.ModelProto:
    """Without the exporter's notes (they hold file names), its batch axis called n everywhere."""
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
def quiet() -> Iterator[None]:
    """Without torch's warnings about its own interfaces; what they write is tested after."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
