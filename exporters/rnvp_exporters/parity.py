"""Proof that an exported graph is the flow: its error beside eager PyTorch's own.

The truth is the eager flow in float64. An exported float32 graph may stray from it as far as the
eager float32 flow does, times a small published factor: closely for the median and the 99th
percentile over thousands of rows, loosely for the worst row. No tolerance is picked; rounding
itself is the yardstick. For a float64 graph there is no finer truth to hold eager to, so its
yardstick is eager float32's error times 2⁻²⁹, the ratio of the two roundings.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_exporters.errors import ParityError
from rnvp_exporters.tracing import INTEGERS, Format, Graph
from rnvp_runtime.manifest import Parity, Spread
from rnvp_runtime.stream import normals

__all__ = ["ALLOWED", "BATCHES", "DATA_ROWS", "Arrays", "Probe", "Run", "check", "eager", "probe"]

Arrays: TypeAlias = dict[str, NDArray[Any]]
Run: TypeAlias = Callable[[Arrays], Arrays]
"""A graph in some engine: named inputs to named outputs."""

ALLOWED = Spread(median=2.0, p99=2.0, worst=8.0)
"""The published factors: how many times eager's own error a graph's may be."""

BATCHES = (0, 1, 2, 3, 4, 17, 1024)
"""Batch sizes that each graph is run at, besides all probes at once."""

DATA_ROWS, TAIL_ROWS, BROKEN_COLUMNS = 4096, 1024, 8
SEED = 20170516
STREAM = {"seed": -SEED, "start": 2**33 + 5}  # both halves of every 64-bit word in use


@dataclass(frozen=True)
class Probe:
    """Inputs of one graph, with what is true of them and what eager makes of them.

    Of the rows, the first DATA_ROWS are like data, the others lie in the tails. ``scale`` is the
    unit of each output's columns: 1 for log_prob (nats) and z, for x the column's standard
    deviation. ``eager``: eager's own error in those units, ``rows`` the same row by row;
    ``floor``: what one rounding of the output costs, below which no error is told from another.
    ``broken``: rows with NaN and infinities among whole ones, with eager's outputs; ``exact``:
    whether the graph must give NaN for NaN and infinity for infinity in every element.
    """

    graph: Graph
    dtype: torch.dtype
    inputs: Arrays
    truth: Arrays
    scale: dict[str, NDArray[np.float64]]
    eager: dict[str, Spread]
    rows: dict[str, NDArray[np.float64]]
    floor: dict[str, float]
    broken: tuple[Arrays, Arrays] | None
    exact: bool

    def tolerance(self, output: str) -> float:
        """How far any row of ``output`` may stray, in its scale."""
        return ALLOWED.worst * max(self.eager[output].worst, self.floor[output])

    def cast(self, name: str, value: NDArray[Any]) -> NDArray[Any]:
        """An input or output of the graph in the dtype that the graph has it in."""
        kind = np.int64 if name in INTEGERS else np.dtype(str(self.dtype).removeprefix("torch."))
        return np.ascontiguousarray(value, kind)


@torch.no_grad()
def probe(flow: RNVP, graph: Graph, dtype: torch.dtype, *, exact: bool) -> Probe:
    """Draw inputs for ``graph`` and put the eager flow, in float64 and float32, through them."""
    truth_flow, eager_flow = copy.deepcopy(flow).double(), copy.deepcopy(flow).float()
    inputs = _inputs(truth_flow, graph)
    truth, rough = eager(truth_flow, graph, inputs), eager(eager_flow, graph, inputs)
    eps = torch.finfo(dtype).eps
    coarser = 1.0 if dtype == torch.float32 else eps / torch.finfo(torch.float32).eps
    scale, spreads, rows, floor = {}, {}, {}, {}
    for name, true in truth.items():
        columns = true.reshape(len(true), -1)
        finite = columns[:DATA_ROWS][np.isfinite(columns[:DATA_ROWS]).all(1)]
        scale[name] = finite.std(0) if name == "x" else np.ones(columns.shape[1])
        scale[name] = np.maximum(scale[name], np.finfo(np.float32).tiny)
        rows[name] = _errors(rough[name], true, scale[name]) * coarser
        spreads[name] = _spread(rows[name][np.isfinite(rows[name])])
        floor[name] = float(0.25 * eps * np.sqrt(np.mean((finite / scale[name]) ** 2)))
    broken = None
    if graph.name != "sampler":
        sick = _break(graph, inputs)
        broken = sick, eager(copy.deepcopy(flow).to(dtype), graph, sick)
    return Probe(graph, dtype, inputs, truth, scale, spreads, rows, floor, broken, exact)


def check(probe: Probe, run: Run, format: Format) -> list[Parity]:
    """Judge the graph that ``run`` runs: one record for each output.

    Raises:
        ParityError: names the output, the batch size and how many times eager's error it is.
    """
    for batch in BATCHES:
        outputs = _run(probe, run, probe.inputs, batch)
        for name, got in outputs.items():
            _check_batch(probe, format, name, got, batch)
    outputs = _run(probe, run, probe.inputs, None)
    records = [_judge(probe, format, name, got) for name, got in outputs.items()]
    if probe.broken is not None:
        _check_broken(probe, run, format)
    return records


def _check_batch(probe: Probe, format: Format, name: str, got: NDArray[Any], batch: int) -> None:
    expected = probe.truth[name][:batch]
    where = f"{probe.graph.name} ({format}): {name} at batch {batch}"
    if got.shape != expected.shape:
        raise ParityError(f"{where} has shape {got.shape}; expected {expected.shape}")
    # A hard row is hard for eager too; any other is held to the 99th percentile.
    yardstick = np.maximum(probe.rows[name][:batch], probe.eager[name].p99)
    errors = _errors(got, expected, probe.scale[name])
    times = errors / np.maximum(yardstick, probe.floor[name])
    if not (times <= ALLOWED.worst).all():
        row = int(np.argmax(times))
        raise ParityError(
            f"{where} is off by {errors[row]:.2e} {_unit(name)}, {times[row]:.3g} times eager's "
            f"own error (allowed: {ALLOWED.worst:g}); nothing was published"
        )


def _judge(probe: Probe, format: Format, name: str, got: NDArray[Any]) -> Parity:
    errors = _errors(got, probe.truth[name], probe.scale[name])
    usable = np.isfinite(probe.rows[name])  # beyond float32, eager too has nothing to say
    exported, own, floor = _spread(errors[usable]), probe.eager[name], probe.floor[name]
    ratio = Spread(
        *(
            float(getattr(exported, part) / max(getattr(own, part), floor))
            for part in ("median", "p99", "worst")
        )
    )
    for part in ("median", "p99", "worst"):
        times, allowed = getattr(ratio, part), getattr(ALLOWED, part)
        if not times <= allowed:
            raise ParityError(
                f"{probe.graph.name} ({format}): {name} at batch {len(errors)}: its {part} error "
                f"is {getattr(exported, part):.2e} {_unit(name)}, {times:.3g} times eager's own "
                f"(allowed: {allowed:g}); nothing was published"
            )
    return Parity(
        graph=probe.graph.name,
        output=name,
        format=format,
        unit=_unit(name),
        scale=tuple(float(unit) for unit in probe.scale[name]),
        eager=own,
        exported=exported,
        ratio=ratio,
        tolerance=probe.tolerance(name),
        passed=True,
    )


def _check_broken(probe: Probe, run: Run, format: Format) -> None:
    """NaN and infinity in, the same out; and no other row is touched."""
    assert probe.broken is not None
    inputs, expected = probe.broken
    for name, got in _run(probe, run, inputs, None).items():
        where = f"{probe.graph.name} ({format}): {name}"
        want = expected[name]
        same = np.array_equal(_kind(got), _kind(want))
        if not probe.exact:
            lost = np.isfinite(got) & ~np.isfinite(want)
            rows = [~np.isfinite(a).reshape(len(a), -1).all(1) for a in (got, want)]
            same = not lost.any() and np.array_equal(*rows)
        if not same:
            row = int(np.argmax((_kind(got) != _kind(want)).reshape(len(got), -1).any(1)))
            raise ParityError(
                f"{where}: of an input row with {_bad_value(inputs, row)}, eager makes "
                f"{want[row]} and the graph {got[row]}; nothing was published"
            )


def _run(probe: Probe, run: Run, inputs: Arrays, batch: int | None) -> Arrays:
    """The outputs in float64 for the first ``batch`` rows of ``inputs``."""
    feeds = {}
    for name, value in inputs.items():
        if name == "count" and batch is not None:
            value = np.array(batch)
        elif probe.graph.inputs[name] != () and batch is not None:
            value = value[:batch]
        feeds[name] = probe.cast(name, value)
    return {name: np.asarray(value, np.float64) for name, value in run(feeds).items()}


def _inputs(flow: RNVP, graph: Graph) -> Arrays:
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
        case "density":
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


def eager(flow: RNVP, graph: Graph, inputs: Arrays) -> Arrays:
    """What the eager ``flow`` makes of a graph's inputs, in its own dtype, as float64 arrays."""
    tensors = {name: torch.from_numpy(value).to(flow.dtype) for name, value in inputs.items()}
    context = tensors.get("context")
    if graph.name == "density":
        z, log_pz, log_jacob = flow(tensors["x"], context)
        return {"log_prob": (log_pz + log_jacob).double().numpy(), "z": z.double().numpy()}
    if graph.name == "sampler":
        real = np.float64 if flow.dtype == torch.float64 else np.float32
        count = int(inputs["count"])
        noise = normals(int(inputs["seed"]), int(inputs["start"]), count, flow.dim, real)
        tensors["z"] = torch.from_numpy(noise) * tensors["temperature"]
    x = flow.inverse(tensors["z"], context)
    return {"x": x.double().numpy(), "log_prob": flow.log_prob(x, context).double().numpy()}


def _break(graph: Graph, inputs: Arrays) -> Arrays:
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


def _errors(got: NDArray[Any], truth: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.float64]:
    """(n,): the largest error of each row, in units of ``scale``; infinite where got is broken."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = (np.abs(got - truth).reshape(len(truth), len(scale)) / scale).max(1, initial=0.0)
    return np.where(np.isnan(errors), np.inf, errors)


def _spread(errors: NDArray[np.float64]) -> Spread:
    if not len(errors):
        return Spread(0.0, 0.0, 0.0)
    median, p99, worst = np.quantile(errors, [0.5, 0.99, 1.0], method="inverted_cdf")
    return Spread(float(median), float(p99), float(worst))


def _kind(values: NDArray[Any]) -> NDArray[Any]:
    """0 for a finite element, 1 and −1 for the infinities, 2 for NaN."""
    infinite = np.where(np.isinf(values), np.sign(values), 0)
    return np.where(np.isnan(values), 2, infinite)


def _bad_value(inputs: Arrays, row: int) -> str:
    return str(next(iter(inputs.values()))[row])


def _unit(output: str) -> str:
    return {"log_prob": "nats", "x": "standard deviations"}.get(output, "latent units")
