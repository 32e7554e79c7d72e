"""Three operations whose best form differs between torch and ONNX.

``PLAIN`` uses ordinary torch operations: TorchScript and torch.export trace it, and the files load
without this package. ``ONNX`` uses custom operators, which the ONNX exporter replaces by the fewest
standard nodes (``TRANSLATIONS``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from onnxscript import opset18 as op
from torch import Tensor
from torch.fx import Graph, Node

from rnvp_exporters.graphs import noise

__all__ = ["ONNX", "PLAIN", "TRANSLATIONS", "Operators"]


@dataclass(frozen=True)
class Operators:
    """How a graph is written.

    normals(seed, start, count, dim, double): rows of the sample stream, (count, dim).
    total(terms): the sum over all terms and their last axis, (n,).
    transposed_product(graph, g, weight, addend): adds a node for g · weightᵀ + addend, where the
        addend may be None.
    signs_in_weights: the sign of an odd scale function is moved into the weights before it.
    """

    normals: Callable[[Tensor, Tensor, Tensor | int, int, bool], Tensor]
    total: Callable[[list[Tensor]], Tensor]
    transposed_product: Callable[[Graph, Node, Node, Node | None], Node]
    signs_in_weights: bool = True


def _total(terms: list[Tensor]) -> Tensor:
    whole = terms[0]
    for term in terms[1:]:
        whole = whole + term
    return whole.sum(1)


@torch.library.custom_op("rnvp::total", mutates_args=())
def _total_operator(terms: list[Tensor]) -> Tensor:
    return _total(terms)


@_total_operator.register_fake
def _(terms: list[Tensor]) -> Tensor:
    return terms[0].new_empty(terms[0].shape[:1])


def _onnx_total(terms: Any) -> Any:
    whole: Any = op.Sum(*terms) if len(terms) > 1 else terms[0]
    last_axis: Any = op.Constant(value_ints=[1])
    return op.ReduceSum(whole, last_axis, keepdims=0)


def _transposed_product(graph: Graph, g: Node, weight: Node, addend: Node | None) -> Node:
    transposed = graph.call_function(torch.ops.aten.t.default, (weight,))
    if addend is None:
        return graph.call_function(torch.ops.aten.mm.default, (g, transposed))
    return graph.call_function(torch.ops.aten.addmm.default, (addend, g, transposed))


def _gemm(graph: Graph, g: Node, weight: Node, addend: Node | None) -> Node:
    return graph.call_function(torch.ops.rnvp.transposed_product.default, (g, weight, addend))


@torch.library.custom_op("rnvp::transposed_product", mutates_args=())
def _transposed_product_operator(g: Tensor, weight: Tensor, addend: Tensor | None) -> Tensor:
    product = g @ weight.T
    return product if addend is None else product + addend


@_transposed_product_operator.register_fake
def _(g: Tensor, weight: Tensor, addend: Tensor | None) -> Tensor:
    return g.new_empty((g.shape[0], weight.shape[0]))


def _onnx_transposed_product(g: Any, weight: Any, addend: Any = None) -> Any:
    return op.Gemm(g, weight, addend, transB=1)


PLAIN = Operators(noise.normals, _total, _transposed_product)
ONNX = Operators(noise.operator, _total_operator, _gemm)
TRANSLATIONS: dict[Any, Callable[..., Any]] = {
    torch.ops.rnvp.normals.default: noise.onnx_normals,
    torch.ops.rnvp.total.default: _onnx_total,
    torch.ops.rnvp.transposed_product.default: _onnx_transposed_product,
}
