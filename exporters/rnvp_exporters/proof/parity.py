"""Whether an exported graph is the flow: its error is compared with eager PyTorch's own error.

The truth is the eager flow in float64. The error of an exported float32 graph may be as large as
that of the eager float32 flow, times a small published factor: closely for the median and the 99th
percentile over thousands of rows, loosely for the worst row. The limit comes from a measured
rounding error. It is not a chosen tolerance. See ``measure`` for float64 graphs, and ``precision``
for the second question, whether the flow is accurate enough in that dtype.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnvp_exporters.errors import ParityError
from rnvp_exporters.proof.eager import Arrays
from rnvp_exporters.proof.probes import Probe, errors, spread
from rnvp_exporters.proof.running import GraphFunction
from rnvp_exporters.proof.vectors import Vectors
from rnvp_runtime.bundle.manifest import Parity, Spread

__all__ = ["ALLOWED", "BATCHES", "check"]

ALLOWED = Spread(median=2.0, p99=2.0, worst=8.0)
"""The published factors: how many times eager's own error a graph's may be."""

BATCHES = (0, 1, 2, 3, 4, 17, 1024)
"""Batch sizes that each graph is run at, besides all probes at once."""


def check(vectors: Vectors, run: GraphFunction, format: str) -> list[Parity]:
    """Judge the graph that ``run`` runs: one record for each output.

    Args:
        vectors: the probes of the graph, and the test vectors of the bundle.
        run: the graph.
        format: what the records and errors call its format.

    Raises:
        ParityError: names the output, the batch size and how many times eager's error it is.
    """
    probe = vectors.probe
    for batch in BATCHES:
        outputs = _run(probe, run, probe.inputs, batch)
        for name, got in outputs.items():
            _check_batch(probe, format, name, got, batch)
    outputs = _run(probe, run, probe.inputs, None)
    records = [
        _judge(probe, format, name, got, vectors.tolerance[name]) for name, got in outputs.items()
    ]
    _check_vectors(vectors, run, format)
    if probe.non_finite is not None:
        _check_non_finite(probe, probe.non_finite, run, format)
    return records


def _check_batch(probe: Probe, format: str, name: str, got: NDArray[Any], batch: int) -> None:
    expected = probe.truth[name][:batch]
    where = f"{probe.graph.name} ({format}): {name} at batch {batch}"
    if got.shape != expected.shape:
        raise ParityError(f"{where} has shape {got.shape}; expected {expected.shape}")
    error = errors(got, expected, probe.scale[name])
    usable = np.isfinite(probe.rows[name][:batch])
    times = np.divide(
        error, _yardstick(probe, name)[:batch], out=np.zeros_like(error), where=usable
    )
    if not (times <= ALLOWED.worst).all():
        row = int(np.argmax(times))
        raise ParityError(
            f"{where} is off by {error[row]:.2e} {_unit(name)}, {times[row]:.3g} times eager's "
            f"own error (allowed: {ALLOWED.worst:g}); nothing was published"
        )


def _judge(probe: Probe, format: str, name: str, got: NDArray[Any], tolerance: float) -> Parity:
    error = errors(got, probe.truth[name], probe.scale[name])
    usable = np.isfinite(probe.rows[name])  # elsewhere eager float32 has no digits either
    exported, own, floor = spread(error[usable]), probe.eager[name], probe.floor[name]
    ratio = Spread(
        median=exported.median / max(own.median, floor),
        p99=exported.p99 / max(own.p99, floor),
        worst=float((error[usable] / _yardstick(probe, name)[usable]).max(initial=0.0)),
    )
    for part in ("median", "p99", "worst"):
        times, allowed = getattr(ratio, part), getattr(ALLOWED, part)
        if not times <= allowed:
            raise ParityError(
                f"{probe.graph.name} ({format}): {name} at batch {len(error)}: its "
                f"{part} error is {getattr(exported, part):.2e} {_unit(name)}, {times:.3g} "
                f"times eager's own "
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
        tolerance=tolerance,
        passed=True,
    )


def _yardstick(probe: Probe, name: str) -> NDArray[np.float64]:
    """(n,): eager's error on each row, or that of a row like data where that is larger.

    It is at least half a step of the dtype at the row's own numbers, by which a rounded result may
    be off. Eager's error is smaller where a flow only moves columns.
    """
    half_steps = probe.steps(name, probe.truth[name]) / 2
    return np.asarray(np.maximum(np.maximum(probe.rows[name], probe.typical[name]), half_steps))


def _check_vectors(vectors: Vectors, run: GraphFunction, format: str) -> None:
    """Check that the bundle's test vectors pass with the bundle's tolerance."""
    probe = vectors.probe
    for inputs, truth in vectors.sets:
        for name, got in _run(probe, run, inputs, None).items():
            finite = np.isfinite(truth[name].reshape(len(got), -1)).all(1)
            largest = errors(got, truth[name], probe.scale[name])[finite].max(initial=0.0)
            if largest > vectors.tolerance[name]:
                raise ParityError(
                    f"{probe.graph.name} ({format}): {name} of a test vector is off by "
                    f"{largest:.2e} {_unit(name)} (allowed: {vectors.tolerance[name]:.2e}); "
                    "nothing was published"
                )


def _check_non_finite(
    probe: Probe, rows: tuple[Arrays, Arrays], run: GraphFunction, format: str
) -> None:
    """NaN and infinity in an input row give the same outputs as in eager; no other row changes."""
    inputs, expected = rows
    for name, got in _run(probe, run, inputs, None).items():
        where = f"{probe.graph.name} ({format}): {name}"
        want = expected[name]
        same = np.array_equal(_kind(got), _kind(want))
        if not probe.exact:  # zero weights turn infinity into NaN: only the row must agree
            # A log or logit column maps infinity to a finite x, which 0 · infinity is not.
            lost = np.isfinite(got) & ~np.isfinite(want)
            given = ~_non_finite_rows(next(iter(inputs.values())))
            same = not lost.any() and np.array_equal(
                _non_finite_rows(got)[given], _non_finite_rows(want)[given]
            )
        elif name == "log_prob":  # eager may meet inf − inf where the graph adds no infinity
            same = np.array_equal(_non_finite_rows(got), _non_finite_rows(want))
        if not same:
            row = int(np.argmax((_kind(got) != _kind(want)).reshape(len(got), -1).any(1)))
            raise ParityError(
                f"{where}: for an input row {_first_input(inputs, row)}, eager gives "
                f"{want[row]} and the graph {got[row]}; nothing was published"
            )


def _run(probe: Probe, run: GraphFunction, inputs: Arrays, batch: int | None) -> Arrays:
    """The outputs in float64 for the first ``batch`` rows of ``inputs``."""
    feeds = {}
    for name, value in inputs.items():
        if name == "count" and batch is not None:
            value = np.array(batch)
        elif probe.graph.inputs[name] != () and batch is not None:
            value = value[:batch]
        feeds[name] = probe.cast(name, value)
    return {name: np.asarray(value, np.float64) for name, value in run(feeds).items()}


def _kind(values: NDArray[Any]) -> NDArray[Any]:
    """0 for a finite element, 1 and −1 for the infinities, 2 for NaN."""
    infinite = np.where(np.isinf(values), np.sign(values), 0)
    return np.where(np.isnan(values), 2, infinite)


def _non_finite_rows(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(~np.isfinite(values).reshape(len(values), -1).all(1))


def _first_input(inputs: Arrays, row: int) -> str:
    return str(next(iter(inputs.values()))[row])


def _unit(output: str) -> str:
    units = {"log_prob": "nats", "x": "standard deviations", "z": "latent units"}
    return units.get(output, "nats per standard deviation")
