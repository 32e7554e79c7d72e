"""Probes: inputs for a graph, with the true outputs and the errors that eager PyTorch makes.

The truth is the eager flow in float64. Inputs are numbers that float32 represents exactly, so that
no error is the rounding of an input: rows like data, rows of the tails and, apart from these, rows
with NaN and infinities.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_exporters.errors import ExportError
from rnvp_exporters.graphs import INTEGERS, GraphDefinition
from rnvp_exporters.proof.eager import Arrays, eager, near_rounding, rounded_runs
from rnvp_exporters.proof.kinks import other_side
from rnvp_runtime.bundle.manifest import Spread

__all__ = ["DATA_ROWS", "Measured", "Probe", "column_scale", "errors", "measure", "probe", "spread"]

DATA_ROWS, TAIL_ROWS, NON_FINITE_COLUMNS = 4096, 1024, 8
FEWEST_DIGITS = 1e-3  # a row of which eager keeps fewer than three digits is not judged
SEED = 20170516
STREAM = {"seed": -SEED, "start": 2**33 + 5}  # both halves of every 64-bit word are in use


@dataclass(frozen=True)
class Measured:
    """Inputs of a graph with the true outputs, and eager's error on each row.

    truth:  outputs of the eager flow in float64.
    runs:   for each output, errors of eager runs that differ by roundings: (runs, n), in units of
            the output's scale. The first half are plain and rounded runs, see ``rounded_runs``.
    rows:   the largest of these runs on each row, (n,), or the jump of a gradient where an
            activation lies at a kink (``kinks``); infinite where eager keeps fewer than three
            digits.
    """

    inputs: Arrays
    truth: Arrays
    runs: dict[str, NDArray[np.float64]]
    rows: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Probe:
    """Inputs of one graph, the true outputs, and the errors of eager.

    The first DATA_ROWS rows are like data; the others lie in the tails.

    scale:      unit of the columns of each output: 1 for log_prob (nats) and z; for x the standard
                deviation of the column (``column_scale``); for a gradient one nat for each
                standard deviation.
    eager:      eager's own error in those units: the largest over runs that differ by roundings.
    typical:    the 99th percentile over rows like data of the largest of the runs, and at least
                ``floor``.
    calm:       (n,): the well-conditioned rows, on which roundings matter little.
    floor:      the cost of one rounding of the output. Smaller errors are not distinguished.
    non_finite: rows with NaN and infinities among finite ones, with eager's outputs.
    exact:      whether the graph must give NaN for NaN and infinity for infinity in every element.
    """

    graph: GraphDefinition
    dtype: torch.dtype
    measured: Measured
    scale: dict[str, NDArray[np.float64]]
    eager: dict[str, Spread]
    typical: dict[str, float]
    calm: NDArray[np.bool_]
    floor: dict[str, float]
    non_finite: tuple[Arrays, Arrays] | None
    exact: bool

    @property
    def inputs(self) -> Arrays:
        """The inputs by name."""
        return self.measured.inputs

    @property
    def truth(self) -> Arrays:
        """The true outputs by name."""
        return self.measured.truth

    @property
    def rows(self) -> dict[str, NDArray[np.float64]]:
        """Eager's largest error on each row, for each output."""
        return self.measured.rows

    def cast(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """An input or output of the graph in the dtype that the graph has it in."""
        kind = np.int64 if name in INTEGERS else np.dtype(str(self.dtype).removeprefix("torch."))
        with np.errstate(over="ignore"):
            return np.array(value, kind, order="C")  # ascontiguousarray would lift a scalar

    def steps(self, name: str, values: NDArray[Any]) -> NDArray[np.float64]:
        """(n,): the largest step of the dtype at the numbers of each row, in the output's unit."""
        own = self.cast(name, values)
        steps = np.abs(np.spacing(np.where(np.isfinite(own), own, own.dtype.type(0))))
        return np.asarray((steps.reshape(len(own), -1) / self.scale[name]).max(1, initial=0.0))


@torch.no_grad()
def probe(flow: RNVP, graph: GraphDefinition, dtype: torch.dtype, *, exact: bool) -> Probe:
    """Draw inputs for ``graph``, and measure the eager flow on them in float64 and float32.

    Raises:
        ExportError: for most rows the flow gives no finite number.
    """
    inputs = _inputs(copy.deepcopy(flow).double(), graph)
    truth = eager(copy.deepcopy(flow).double(), graph, inputs)
    scale = {name: _unit_size(name, true, inputs) for name, true in truth.items()}
    measured = measure(flow, graph, inputs, dtype, scale)
    spreads, typical, floor = {}, {}, {}
    eps = torch.finfo(dtype).eps
    rounding = 0.25 * eps if dtype == torch.float32 else 0.5 * eps
    for name, true in truth.items():
        usable = np.isfinite(measured.rows[name])
        if usable[:DATA_ROWS].mean() < 0.5:
            raise ExportError(
                f"{graph.name}: eager PyTorch in this dtype gives no three correct digits of "
                f"{name} for {1 - usable[:DATA_ROWS].mean():.0%} of rows like data, so an exported "
                "graph cannot be held to it. Use float64 (--dtype float64), or train again with a "
                "bounded scale function (--scale tanh)"
            )
        runs = [spread(run[usable]) for run in measured.runs[name]]
        spreads[name] = Spread(
            median=max(run.median for run in runs[: (len(runs) + 1) // 2]),
            p99=max(run.p99 for run in runs),
            worst=max(run.worst for run in runs),
        )
        finite = _columns(true)[:DATA_ROWS][usable[:DATA_ROWS]] / scale[name]
        size = np.sqrt(np.mean(finite**2))  # 0 for the gradient of a context that is ignored
        floor[name] = float(max(rounding * size, np.finfo(np.float64).tiny))
        like_data = measured.runs[name].max(0)[:DATA_ROWS][usable[:DATA_ROWS]]
        typical[name] = max(spread(like_data).p99, floor[name])
    calm, non_finite = _calm(measured.rows, typical), None
    if graph.name != "sampler":
        rows = _with_non_finite(graph, {name: value[calm] for name, value in inputs.items()})
        non_finite = rows, eager(copy.deepcopy(flow).to(dtype), graph, rows)
    exact = exact and graph.name != "gradient"  # inf − inf depends on the order of the sums
    return Probe(graph, dtype, measured, scale, spreads, typical, calm, floor, non_finite, exact)


def _calm(rows: dict[str, NDArray[np.float64]], typical: dict[str, float]) -> NDArray[np.bool_]:
    """(n,): see ``Probe.calm``.

    Eager's error on a row is the largest of runs that differ by roundings. Where that is at most
    half of ``typical``, or the median over rows like data if that is larger, for every output,
    another engine's error is small too.
    """
    limits = {
        name: max(float(np.median(found[:DATA_ROWS])), typical[name] / 2)
        for name, found in rows.items()
    }
    return np.asarray(np.all([found <= limits[name] for name, found in rows.items()], axis=0))


def measure(
    flow: RNVP,
    graph: GraphDefinition,
    inputs: Arrays,
    dtype: torch.dtype,
    scale: dict[str, NDArray[np.float64]],
) -> Measured:
    """The truth of ``inputs`` and eager's error on each row, in units of ``scale``.

    For float64 there is no finer truth, and the truth rounds too: its errors count twice.
    """
    truth = eager(copy.deepcopy(flow).double(), graph, inputs)
    results = rounded_runs(flow, graph, inputs, dtype)
    times = 2.0 if dtype == torch.float64 else 1.0
    close = near_rounding(flow, graph, inputs, dtype)
    moved = other_side(flow, graph, inputs, dtype)
    runs, rows = {}, {}
    for name, true in truth.items():
        runs[name] = times * np.array([errors(run[name], true, scale[name]) for run in results])
        largest = runs[name].max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            size = 1 + np.abs(_columns(true) / scale[name]).max(1, initial=0.0)
            judged = np.isfinite(size) & (largest <= FEWEST_DIGITS * size)
        if close is not None:
            judged &= ~close
        if moved is not None:
            largest = np.maximum(largest, errors(moved[name], true, scale[name]))
        rows[name] = np.where(judged, largest, np.inf)
    return Measured(inputs, truth, runs, rows)


def _unit_size(output: str, truth: NDArray[np.float64], inputs: Arrays) -> NDArray[np.float64]:
    """The unit of each column of an output: see ``Probe.scale``."""
    if output == "x":
        return column_scale(truth[:DATA_ROWS])
    if output.startswith("grad_"):  # nats for each standard deviation of the input
        return 1 / column_scale(inputs[output.removeprefix("grad_")][:DATA_ROWS])
    return np.ones(_columns(truth).shape[1])


def column_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,): the standard deviation of each column of (n, d), robust against heavy tails.

    It is the interquartile range as a normal distribution has it, where that is smaller than the
    standard deviation and not 0.
    """
    finite = values[np.isfinite(values).all(axis=1)]
    if not len(finite):
        return np.ones(values.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = finite.std(axis=0)
    low, high = np.quantile(finite, [0.25, 0.75], axis=0)
    robust = (high - low) / 1.349
    deviation = np.where(np.isfinite(deviation), deviation, robust)
    scale = np.where(robust > 0, np.minimum(robust, deviation), deviation)
    return np.asarray(np.maximum(scale, np.finfo(np.float32).tiny))


def _inputs(flow: RNVP, graph: GraphDefinition) -> Arrays:
    """Probes in float64 that float32 represents exactly."""
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
        inputs["context"] = _representable(context.numpy())
        context = torch.from_numpy(inputs["context"])
    match graph.name:
        case "density" | "gradient":
            x = flow.inverse(torch.from_numpy(z), context).numpy()
            # Half of the tails are where data may lie by chance: a box four deviations wide.
            data, box = x[:DATA_ROWS], slice(rows - TAIL_ROWS // 2, rows)
            finite = data[np.isfinite(data).all(axis=1)]
            if len(finite):
                uniform = draw.uniform(-4, 4, (TAIL_ROWS // 2, flow.dim))
                wide = np.median(finite, axis=0) + uniform * column_scale(data)
                x[box] = _inside(flow, wide, x[box])
            return {"x": _representable(x)} | inputs
        case "inverse":
            return {"z": _representable(z)} | inputs
    stream = {name: np.array(value) for name, value in STREAM.items()}
    return stream | {"count": np.array(rows), "temperature": np.array(1.0)} | inputs


def _inside(
    flow: RNVP, x: NDArray[np.float64], samples: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``x`` with integers where the flow has them, and ``samples`` for what has no density."""
    maps = flow.elementwise
    if maps is None:
        return x
    x = np.where(maps.is_integer.numpy(), np.floor(x), x)
    outside = maps.outside(torch.from_numpy(_representable(x))).numpy()
    return np.where(outside, samples, x)


def _with_non_finite(graph: GraphDefinition, inputs: Arrays) -> Arrays:
    """Rows with one NaN or infinity each; every second row stays finite."""
    name = next(iter(graph.inputs))
    columns = min(inputs[name].shape[1], NON_FINITE_COLUMNS)
    values = [(j, value) for j in range(columns) for value in (np.nan, np.inf, -np.inf)]
    rows = {key: value[: 2 * len(values)].copy() for key, value in inputs.items()}
    for i, (column, value) in enumerate(values):
        rows[name][2 * i, column] = value
    return rows


def _representable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # a tail may lie beyond float32, where it is infinite
        return values.astype(np.float32).astype(np.float64)


def _columns(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), -1)


def errors(got: NDArray[Any], truth: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.float64]:
    """(n,): the largest error of each row, in units of ``scale``; infinite where it is NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = (np.abs(got - truth).reshape(len(truth), len(scale)) / scale).max(1, initial=0.0)
    return np.where(np.isnan(errors), np.inf, errors)


def spread(errors: NDArray[np.float64]) -> Spread:
    """Median, 99th percentile and maximum of errors, (n,); zeros if there are none."""
    if not len(errors):
        return Spread(0.0, 0.0, 0.0)
    median, p99, worst = np.quantile(errors, [0.5, 0.99, 1.0], method="inverted_cdf")
    return Spread(float(median), float(p99), float(worst))
