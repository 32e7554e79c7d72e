"""The outputs of the eager flow for a graph's inputs, also with every rounding changed.

No engine promises the last digit of an elementary function or the order of a sum. So the
eager flow is run several times: as it is, with the values of its elementary functions one rounding
up or down, and in float64 with weights and inputs one rounding off. The largest error over these
runs is the reference for the error of an exported graph.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from rnvp_deploy import RNVP
from rnvp_deploy.transforms import Transform
from rnvp_exporters.graphs import GraphDefinition
from rnvp_runtime.stream import normals

__all__ = ["Arrays", "EngineRoundings", "eager", "near_rounding", "perturbed", "rounded_runs"]

Arrays: TypeAlias = dict[str, NDArray[Any]]

RUNS = 7  # of each kind
ROUNDINGS = 64  # of a value before it is rounded to an integer: a generous bound on its error
ELEMENTARY = frozenset(
    getattr(torch.ops.aten, name).default
    for name in ("atan", "erf", "exp", "log", "sigmoid", "sin", "tanh")
)
PRODUCTS = frozenset({torch.ops.aten.addmm.default, torch.ops.aten.mm.default})
SUM, ADD = torch.ops.aten.sum.dim_IntList, torch.ops.aten.add.Tensor


@torch.no_grad()
def eager(
    flow: RNVP,
    graph: GraphDefinition,
    inputs: Arrays,
    round_off: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
) -> Arrays:
    """The outputs of a graph by the eager ``flow``, in the flow's dtype, as float64 arrays.

    Args:
        round_off: changes the roundings of the sampler's noise, which PyTorch does not compute.
    """
    tensors = {name: torch.from_numpy(value).to(flow.dtype) for name, value in inputs.items()}
    context = tensors.get("context")
    if graph.name == "density":
        z, log_pz, log_jacob = flow(tensors["x"], context)
        return {"log_prob": (log_pz + log_jacob).double().numpy(), "z": z.double().numpy()}
    if graph.name == "gradient":
        return _differentiated(flow, graph, tensors)
    if graph.name == "sampler":
        real = np.float64 if flow.dtype == torch.float64 else np.float32
        count = int(inputs["count"])
        noise = normals(int(inputs["seed"]), int(inputs["start"]), count, flow.dim, real)
        tensors["z"] = round_off(torch.from_numpy(noise)) * tensors["temperature"]
    x, log_prob = _inverse(flow, tensors["z"], context)
    return {"x": x.double().numpy(), "log_prob": log_prob.double().numpy()}


@torch.no_grad()
def rounded_runs(
    flow: RNVP, graph: GraphDefinition, inputs: Arrays, dtype: torch.dtype
) -> list[Arrays]:
    """Outputs of eager in ``dtype``, once as it is, then of 2 × 7 runs that differ by roundings."""
    own, double = copy.deepcopy(flow).to(dtype), copy.deepcopy(flow).double()
    runs = [eager(own, graph, inputs)]
    for seed in range(RUNS):
        with EngineRoundings(seed, dtype) as engine:
            runs.append(eager(own, graph, inputs, engine.round_off))
    return runs + [perturbed(double, graph, inputs, seed, dtype) for seed in range(RUNS)]


def near_rounding(
    flow: RNVP, graph: GraphDefinition, inputs: Arrays, dtype: torch.dtype
) -> NDArray[np.bool_] | None:
    """(n,): on which rows an integer of x may differ by one, because of rounding in ``dtype``.

    None where no output is rounded.
    """
    if not _rounds(flow) or "x" not in graph.outputs:
        return None
    flow = copy.deepcopy(flow).double()
    assert flow.elementwise is not None
    integer = flow.elementwise.is_integer.numpy()
    flow.elementwise.rounds = False
    x = eager(flow, graph, inputs)["x"][:, integer]
    with np.errstate(invalid="ignore"):
        error = ROUNDINGS * torch.finfo(dtype).eps * (1 + np.abs(x))
        close = np.abs(x - np.rint(x)) < error
    return np.asarray(close.any(1))


def perturbed(
    flow: RNVP, graph: GraphDefinition, inputs: Arrays, seed: int, dtype: torch.dtype
) -> Arrays:
    """Outputs of ``flow`` with weights and inputs each one rounding of ``dtype`` up or down."""
    round_off = partial(_rounded, draw=torch.Generator().manual_seed(seed), dtype=dtype)
    flow = copy.deepcopy(flow)
    for tensor in flow.state_dict().values():  # the bounds of columns are exact, and not in it
        if tensor.is_floating_point():
            tensor.copy_(round_off(tensor))
    moved = {
        name: round_off(torch.from_numpy(value)).numpy() if graph.inputs[name] else value
        for name, value in inputs.items()
    }
    return eager(flow, graph, moved)


def _rounded(values: torch.Tensor, draw: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    """``values``, each one rounding of ``dtype`` up or down, in their own dtype."""
    signs = torch.randint(0, 2, values.shape, generator=draw) * 2 - 1
    step = torch.finfo(dtype).eps / 2
    if dtype == torch.float64:  # 1 + eps / 2 is 1 in float64: move by the spacing instead
        return torch.nextafter(values, values + signs * values.abs().clamp(min=1e-300))
    return (values.double() * (1 + signs * step)).to(values.dtype)


class EngineRoundings(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context in which PyTorch rounds as another engine may.

    Its elementary functions are one rounding up or down, and its sums have another order. Between
    1 and 8, the error of onnxruntime's Tanh is 2.7e-7 at most and 6e-8 on average; PyTorch's is
    3e-8 and 1.7e-8. In float64 the truth has eager's own order of the log-determinants, so each of
    their additions is also one rounding up or down.
    """

    def __init__(self, seed: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draw, self.dtype = torch.Generator().manual_seed(seed), dtype

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        value = func(*self._reordered(func, args), **(kwargs or {}))
        moved = func in ELEMENTARY or (
            func is ADD and value.dim() == 1 and self.dtype == torch.float64
        )
        return self.round_off(value) if moved else value

    def round_off(self, values: torch.Tensor) -> torch.Tensor:
        """``values``, each one rounding up or down."""
        return _rounded(values, self.draw, self.dtype)

    def _reordered(self, func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of ``func`` with the terms of each of its sums in another order."""
        if func in PRODUCTS:
            *added, left, right = args
            order = torch.randperm(left.shape[1], generator=self.draw)
            return (*added, left[:, order], right[order])
        if func is SUM and len(args[1]) == 1:
            terms, (dim,), *others = args
            order = torch.randperm(terms.shape[dim], generator=self.draw)
            return (terms.index_select(dim, order), [dim], *others)
        return args


def _differentiated(flow: RNVP, graph: GraphDefinition, tensors: dict[str, torch.Tensor]) -> Arrays:
    """log_prob, and its derivatives by x and the context, by PyTorch's autograd."""
    with torch.enable_grad():
        leaves = [tensors[name].requires_grad_() for name in graph.inputs]
        log_prob = flow.log_prob(*leaves)
        gradients = torch.autograd.grad(log_prob.sum(), leaves, materialize_grads=True)
    values = (log_prob.detach(), *gradients)
    return {name: value.double().numpy() for name, value in zip(graph.outputs, values, strict=True)}


def _inverse(
    flow: RNVP, z: torch.Tensor, context: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """x and log p(x), with each log-determinant taken at the intermediate values of the inverse.

    flow.log_prob(x) would start from the rounded x, whose latent differs from z far out. With
    integer columns x is rounded to an integer, and its log_prob is that of the integer.
    """
    if _rounds(flow):
        x = flow.inverse(z, context)
        return x, flow.log_prob(x, context)
    x, log_prob = z, flow.log_base(z)
    context = flow.standardised(context)
    for transform in reversed(flow.transforms):
        assert isinstance(transform, Transform)
        x = transform.inverse(x, context)
        log_prob = log_prob + transform(x, context)[1]
    return x, log_prob


def _rounds(flow: RNVP) -> bool:
    return flow.elementwise is not None and flow.elementwise.rounds
