"""The gradient graph: log_prob and its derivatives, by reverse mode that is recorded once.

PyTorch differentiates the density for a symbolic number of rows, and ``make_fx`` records every
operation, forward and backward. The record is a module of ordinary operations, which is traced
like any other. No derivative is written by hand: an activation or a scale function needs only its
own line.

Rewrites of the record (``_REWRITES``) use facts that a general recorder does not have:

- d log_det / dσ = 1 for every σ. The recorded tensor of ones becomes one number.
- Every ``index_select`` is a permutation. Its derivative is the inverse permutation.
- A product with a transposed weight, and the sum that it is added to, are one ``Gemm``.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from rnvp_exporters.graphs.exact_scalars import ScalarsAsTensors
from rnvp_exporters.graphs.modules import TransformStack
from rnvp_exporters.graphs.operators import Operators
from rnvp_exporters.lowering import Lowered

__all__ = ["gradient"]

aten: Any = torch.ops.aten


def gradient(lowered: Lowered, operators: Operators, dtype: torch.dtype) -> GraphModule:
    """The module of the gradient graph.

        x (n, d) [, context (n, c)] → log_prob (n,), grad_x (n, d) [, grad_context (n, c)]

    log_prob is in nats, grad_x is ∂ log p / ∂x and grad_context ∂ log p / ∂context.
    """
    stack = TransformStack(lowered, "forward", operators).to(dtype).eval().requires_grad_(False)
    one = torch.ones(1, 1, dtype=dtype)

    def differentiate(*inputs: Tensor) -> tuple[Tensor, ...]:
        def forward(*given: Tensor) -> tuple[Tensor, ...]:
            z, log_scales = stack(*given)
            return z, *log_scales

        outputs, pullback = torch.func.vjp(forward, *inputs)  # type: ignore[misc]
        z, *log_scales = outputs
        # log p = Σσ − ½ Σz² + constant: its derivative is −z by z, and 1 by every σ.
        gradients = pullback((-z, *(one.expand_as(log_scale) for log_scale in log_scales)))
        return stack.log_prob(z, log_scales), *gradients

    widths = [lowered.dim, *([lowered.context_dim] if lowered.context_dim else [])]
    # Sizes that are equal in the example are taken as always equal, so no width equals rows.
    rows = 1 + max(size for buffer in (one, *stack.buffers()) for size in buffer.shape)
    example = [torch.zeros(rows, width, dtype=dtype) for width in widths]
    with ScalarsAsTensors():
        record = make_fx(differentiate, tracing_mode="symbolic", _allow_non_fake_inputs=True)
        module = record(*example)
    for rewrite in _REWRITES:
        for node in list(module.graph.nodes):
            rewrite(module, node, operators)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _remove_copies(module: GraphModule, node: Node, operators: Operators) -> None:
    if node.target in (aten.detach.default, aten.lift_fresh_copy.default, aten.alias.default):
        source = node.args[0]
        assert isinstance(source, Node)
        node.replace_all_uses_with(source)


def _fold_ones(module: GraphModule, node: Node, operators: Operators) -> None:
    """Ones of another shape are constants of size 1, which broadcast: no rows are recorded."""
    source = _constant(node.args[0]) if node.args else None
    if source is None:
        return
    if node.target == aten.expand.default:
        node.replace_all_uses_with(source)
    elif node.target in (aten.squeeze.dim, aten.unsqueeze.default):
        name, reshape = f"ones_{node.name}", cast(Callable[..., Tensor], node.target)
        module.register_buffer(name, reshape(getattr(module, str(source.target)), node.args[1]))
        with module.graph.inserting_before(node):
            folded = module.graph.get_attr(name)
        folded.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(folded)


def _exact_numbers(module: GraphModule, node: Node, operators: Operators) -> None:
    """A number that autograd put beside a float64 tensor becomes a float64 tensor."""
    if node.target not in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor):
        return
    if node.meta["val"].dtype != torch.float64:
        return
    for i, argument in enumerate(node.args[:2]):
        if isinstance(argument, float):
            name = f"number_{node.name}_{i}"
            module.register_buffer(name, torch.tensor(argument, dtype=torch.float64))
            with module.graph.inserting_before(node):
                node.update_arg(i, module.graph.get_attr(name))


def _permute_back(module: GraphModule, node: Node, operators: Operators) -> None:
    """The derivative of a permutation is the inverse order; autograd adds to zeros instead."""
    if node.target != aten.index_add.default:
        return
    _, axis, index, g = node.args
    assert isinstance(index, Node)
    order = getattr(module, str(index.target))
    name = f"back_{node.name}"
    module.register_buffer(name, torch.argsort(order))
    with module.graph.inserting_before(node):
        back = module.graph.get_attr(name)
        permuted = module.graph.call_function(aten.index_select.default, (g, axis, back))
    permuted.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(permuted)


def _fuse_products(module: GraphModule, node: Node, operators: Operators) -> None:
    """g · Wᵀ, and the addition after it, as one operation."""
    product = _transposed_product(node)
    if product is None:
        return
    g, weight = product
    addend, last = None, node
    if len(node.users) == 1 and (total := next(iter(node.users))).target == aten.add.Tensor:
        others = [argument for argument in total.args if argument is not node]
        other = others[0] if len(others) == 1 else None
        if isinstance(other, Node) and not total.kwargs and _same_shape(other, node):
            addend, last = other, total
    with module.graph.inserting_before(last):
        fused = operators.transposed_product(module.graph, g, weight, addend)
    fused.meta["val"] = last.meta["val"]
    last.replace_all_uses_with(fused)


def _transposed_product(node: Node) -> tuple[Node, Node] | None:
    """(g, W) where the node is g · Wᵀ and W a constant."""
    if node.target != aten.mm.default:
        return None
    g, right = node.args
    assert isinstance(g, Node)
    assert isinstance(right, Node)
    if right.target != aten.t.default or (weight := _constant(right.args[0])) is None:
        return None
    return g, weight


def _constant(value: Any) -> Node | None:
    return value if isinstance(value, Node) and value.op == "get_attr" else None


def _same_shape(one: Node, other: Node) -> bool:
    return bool(one.meta["val"].shape == other.meta["val"].shape)


_REWRITES: tuple[Callable[[GraphModule, Node, Operators], None], ...] = (
    _remove_copies,
    _fold_ones,
    _exact_numbers,
    _permute_back,
    _fuse_products,
)
