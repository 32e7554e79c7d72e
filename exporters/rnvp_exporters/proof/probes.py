"""Probes: inputs for a graph, with the true outputs and the errors that eager PyTorch makes.

The truth is the eager flow in float64. Inputs are numbers that float32 holds exactly, so that no
error seen is the input's rounding: rows like data, rows of the tails and, apart from these, rows
with NaN and infinities.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from rnvp_deploy import RNVP
from rnvp_deploy.transforms import Transform
from rnvp_exporters.graphs import INTEGERS, GraphDefinition
from rnvp_runtime.bundle.manifest import Spread
from rnvp_runtime.stream import normals

__all__ = ["DATA_ROWS", "Arrays", "OtherFunctions", "Probe", "eager", "errors", "probe", "spread"]

Arrays: TypeAlias = dict[str, NDArray[Any]]

DATA_ROWS, TAIL_ROWS, BROKEN_COLUMNS, JITTERS = 4096, 1024, 8, 7
LOST = 1e-3  # a row on which eager float32 keeps fewer than three digits says nothing
SEED = 20170516
ELEMENTARY = frozenset(
    getattr(torch.ops.aten, name).default
    for name in ("atan", "erf", "exp", "log", "sigmoid", "sin", "tanh")
)
STREAM = {"seed": -SEED, "start": 2**33 + 5}  # both halves of every 64-bit word in use


@dataclass(frozen=True)
class Probe:
    """Inputs of one graph, with what is true of them and what eager makes of them.

    Of the rows, the first DATA_ROWS are like data, the others lie in the tails. ``scale`` is the
    unit of each output's columns: 1 for log_prob (nats) and z, for x the column's standard
    deviation, for a gradient one nat for each standard deviation. ``eager``: eager's own error in
    those units, the largest over a few runs that differ by roundings (see ``probe``); ``rows``: the
    largest of these runs on each row; ``floor``: what one rounding of the output costs, below which
    no error is told from another. ``broken``: rows with NaN and infinities among whole ones, with
    eager's outputs; ``exact``: whether the graph must give NaN for NaN and infinity for infinity in
    every element.
    """

    graph: GraphDefinition
    dtype: torch.dtype
    inputs: Arrays
    truth: Arrays
    scale: dict[str, NDArray[np.float64]]
    eager: dict[str, Spread]
    rows: dict[str, NDArray[np.float64]]
    floor: dict[str, float]
    broken: tuple[Arrays, Arrays] | None
    exact: bool

    def cast(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """An input or output of the graph in the dtype that the graph has it in."""
        kind = np.int64 if name in INTEGERS else np.dtype(str(self.dtype).removeprefix("torch."))
        return np.array(value, kind, order="C")  # ascontiguousarray would lift a scalar


@torch.no_grad()
def probe(flow: RNVP, graph: GraphDefinition, dtype: torch.dtype, *, exact: bool) -> Probe:
    """Draw inputs for ``graph`` and put the eager flow, in float64 and float32, through them.

    Float32 runs as it is, and with every elementary function's value one rounding off. For the
    tails, where one run says little of a row, float64 runs with weights and inputs one off too.
    """
    truth_flow, eager_flow = copy.deepcopy(flow).double(), copy.deepcopy(flow).float()
    inputs = _inputs(truth_flow, graph)
    truth = eager(truth_flow, graph, inputs)
    engines = [eager(eager_flow, graph, inputs)]
    for seed in range(JITTERS):
        with OtherFunctions(seed):
            engines.append(eager(eager_flow, graph, inputs))
    jittered = [_jittered(truth_flow, graph, inputs, seed) for seed in range(JITTERS)]
    eps = torch.finfo(dtype).eps
    # float32's error in float64's roundings, of which there are two: the truth rounds as well.
    finer = 1.0 if dtype == torch.float32 else 2 * eps / torch.finfo(torch.float32).eps
    rounding = 0.25 * eps if dtype == torch.float32 else 0.5 * eps
    scale, spreads, rows, floor = {}, {}, {}, {}
    for name, true in truth.items():
        columns = true.reshape(len(true), -1)
        finite = columns[:DATA_ROWS][np.isfinite(columns[:DATA_ROWS]).all(1)]
        scale[name] = _unit_size(name, finite, inputs)
        scale[name] = np.maximum(scale[name], np.finfo(np.float32).tiny)
        strayed = [errors(run[name], true, scale[name]) * finer for run in (*engines, *jittered)]
        rows[name] = np.max(strayed, axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            size = 1 + np.abs(columns / scale[name]).max(1, initial=0.0)
            rows[name][rows[name] > LOST * finer * size] = np.inf
        usable = np.isfinite(rows[name])
        runs = [spread(run[usable]) for run in strayed]
        spreads[name] = Spread(
            median=max(run.median for run in runs[: len(engines)]),
            p99=max(run.p99 for run in runs),
            worst=max(run.worst for run in runs),
        )
        floor[name] = float(rounding * np.sqrt(np.mean((finite / scale[name]) ** 2)))
    broken = None
    if graph.name != "sampler":
        sick = _break(graph, inputs)
        broken = sick, eager(copy.deepcopy(flow).to(dtype), graph, sick)
    exact = exact and graph.name != "gradient"  # inf − inf depends on the order of the sums
    return Probe(graph, dtype, inputs, truth, scale, spreads, rows, floor, broken, exact)


def _unit_size(output: str, finite: NDArray[np.float64], inputs: Arrays) -> NDArray[np.float64]:
    """The unit of each column of an output: see ``Probe.scale``."""
    if output == "x":
        return np.asarray(finite.std(0))
    if output.startswith("grad_"):  # nats for each standard deviation of the input
        deviation = inputs[output.removeprefix("grad_")][:DATA_ROWS].std(0)
        return np.asarray(1 / np.maximum(deviation, np.finfo(np.float32).tiny))
    return np.ones(finite.shape[1])


def _jittered(flow: RNVP, graph: GraphDefinition, inputs: Arrays, seed: int) -> Arrays:
    """Outputs of ``flow``, its weights and inputs each off by one float32 rounding, up or down."""
    off = partial(_off, draw=torch.Generator().manual_seed(seed))
    flow = copy.deepcopy(flow)
    for tensor in (*flow.parameters(), *flow.buffers()):
        if tensor.is_floating_point():
            tensor.copy_(off(tensor))
    moved = {
        name: off(torch.from_numpy(value)).numpy() if graph.inputs[name] else value
        for name, value in inputs.items()
    }
    return eager(flow, graph, moved)


def _off(values: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """``values``, each one float32 rounding up or down, in their own dtype."""
    signs = torch.randint(0, 2, values.shape, generator=draw) * 2 - 1
    return (values.double() * (1 + signs * 2.0**-24)).to(values.dtype)


class OtherFunctions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, PyTorch's elementary functions round as another engine's might: up or down.

    No engine promises their last digit. Between 1 and 8, onnxruntime's Tanh strays 2.7e-7 from the
    truth at worst and 6e-8 on average; PyTorch's, 3e-8 and 1.7e-8.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.draw = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        value = func(*args, **(kwargs or {}))
        return _off(value, self.draw) if func in ELEMENTARY else value


def _inputs(flow: RNVP, graph: GraphDefinition) -> Arrays:
    """Probes in float64 that float32 holds exactly, so that no error is the input's rounding."""
    rows = DATA_ROWS + TAIL_ROWS
    draw = np.random.default_rng(SEED)
    spread = np.concatenate([np.ones(DATA_ROWS), np.full(TAIL_ROWS, 3.0)])[:, None]
    z = draw.standard_normal((rows, flow.dim)) * spread
    inputs: Arrays = {}
    context = None
    if flow.context_dim:
        context = torch.from_numpy(draw.standard_normal((rows, flow.context_dim)))
        if flow.context_scaling is not None:
            context = flow.context_scaling.inverse(context)
        inputs["context"] = _exact(context.numpy())
        context = torch.from_numpy(inputs["context"])
    match graph.name:
        case "density" | "gradient":
            x = flow.inverse(torch.from_numpy(z), context).numpy()
            # Half of the tails are where data may stray: a box four deviations wide.
            data, stray = x[:DATA_ROWS], slice(rows - TAIL_ROWS // 2, rows)
            box = draw.uniform(-4, 4, (TAIL_ROWS // 2, flow.dim))
            x[stray] = data.mean(0) + box * data.std(0)
            return {"x": _exact(x)} | inputs
        case "inverse":
            return {"z": _exact(z)} | inputs
    stream = {name: np.array(value) for name, value in STREAM.items()}
    return stream | {"count": np.array(rows), "temperature": np.array(1.0)} | inputs


def eager(flow: RNVP, graph: GraphDefinition, inputs: Arrays) -> Arrays:
    """What the eager ``flow`` makes of a graph's inputs, in its own dtype, as float64 arrays."""
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
        tensors["z"] = torch.from_numpy(noise) * tensors["temperature"]
    x, log_prob = _back(flow, tensors["z"], context)
    return {"x": x.double().numpy(), "log_prob": log_prob.double().numpy()}


def _differentiated(flow: RNVP, graph: GraphDefinition, tensors: dict[str, torch.Tensor]) -> Arrays:
    """log_prob, and its derivatives by x and the context, by PyTorch's autograd."""
    with torch.enable_grad():
        leaves = [tensors[name].requires_grad_() for name in graph.inputs]
        log_prob = flow.log_prob(*leaves)
        gradients = torch.autograd.grad(log_prob.sum(), leaves, materialize_grads=True)
    values = (log_prob.detach(), *gradients)
    return {name: value.double().numpy() for name, value in zip(graph.outputs, values, strict=True)}


def _back(
    flow: RNVP, z: torch.Tensor, context: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """x and its log p(x), each log-determinant taken where the way back passes.

    flow.log_prob(x) would go forth again, and where x is far out not arrive at z.
    """
    x, log_prob = z, flow.log_base(z)
    context = flow.standardised(context)
    for transform in reversed(flow.transforms):
        assert isinstance(transform, Transform)
        x = transform.inverse(x, context)
        log_prob = log_prob + transform(x, context)[1]
    return x, log_prob


def _break(graph: GraphDefinition, inputs: Arrays) -> Arrays:
    """Rows with one NaN or infinity each, every second row left whole."""
    name = next(iter(graph.inputs))
    columns = min(inputs[name].shape[1], BROKEN_COLUMNS)
    values = [(j, bad) for j in range(columns) for bad in (np.nan, np.inf, -np.inf)]
    sick = {key: value[: 2 * len(values)].copy() for key, value in inputs.items()}
    for i, (column, bad) in enumerate(values):
        sick[name][2 * i, column] = bad
    return sick


def _exact(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # a tail may lie beyond float32, and must come out so
        return values.astype(np.float32).astype(np.float64)


def errors(got: NDArray[Any], truth: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.float64]:
    """(n,): the largest error of each row, in units of ``scale``; infinite where got is broken."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = (np.abs(got - truth).reshape(len(truth), len(scale)) / scale).max(1, initial=0.0)
    return np.where(np.isnan(errors), np.inf, errors)


def spread(errors: NDArray[np.float64]) -> Spread:
    if not len(errors):
        return Spread(0.0, 0.0, 0.0)
    median, p99, worst = np.quantile(errors, [0.5, 0.99, 1.0], method="inverted_cdf")
    return Spread(float(median), float(p99), float(worst))
