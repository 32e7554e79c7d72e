"""A bundle's test vectors, in the layout of the ONNX backend tests.

    tests/<graph>/test_data_set_<k>/input_<i>.pb, output_<i>.pb

Each file is one serialized TensorProto, in the order of the graph's inputs and outputs. The
expected outputs are the truth, the eager flow in float64, so any engine on any machine can be
checked with the tolerance in the manifest. Sets 0–2 are rows like data, one row, and rows of the
tails; set 3, for graphs that must match it, has NaN and infinities.

The tolerance is small enough to distinguish a wrong graph from a right one. It is 1.5 times eager's
error on rows like data, and the vectors hold well-conditioned rows, so that other roundings, of
another engine or processor, stay below it. ``sensitivity`` measures which changes the tolerance can
detect.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_exporters.proof.eager import Arrays, eager
from rnvp_exporters.proof.probes import DATA_ROWS, Measured, Probe, errors, measure
from rnvp_runtime.bundle.tensor_proto import serialize

__all__ = ["MARGIN", "Vectors", "choose_vectors", "sensitivity", "write_vectors"]

ROWS, TAIL = 17, 8
DRAWN = 96  # rows of each draw of the sampler
MARGIN = 1.5
"""The tolerance is this many times eager's error on rows like data (``Probe.typical``)."""
STEPS = 2.0
"""It is at least this many steps of the dtype: the truth is rounded, and the result twice."""
SUM_STEPS = 0.5
"""For log_prob, a sum over d columns, it is also at least this many times the root of d steps.

A sum of n positive terms, added one after another, is off by 0.29 (n / 3)^½ of its steps (root mean
square, for independent roundings). This is three standard deviations. PyTorch adds in a tree.
"""

ATTEMPTS = 8  # draws, of which the best-conditioned one is taken
CHANGE = 1.001  # of every weight, which verification must notice


@dataclass(frozen=True)
class Vectors:
    """The test vectors of one graph, and the permitted error of each output in its scale."""

    probe: Probe
    sets: tuple[tuple[Arrays, Arrays], ...]
    tolerance: dict[str, float]


def choose_vectors(flow: RNVP, probe: Probe) -> Vectors:
    """Choose the rows of the vectors, and the tolerance that follows from them."""
    measured = _draws(flow, probe) if probe.graph.name == "sampler" else _chosen(probe)
    sets = [(part.inputs, part.truth) for part in measured]
    if probe.non_finite is not None and probe.exact:
        sets.append(probe.non_finite)
    tolerance = {}
    for name in probe.truth:
        rows = np.concatenate([part.rows[name] for part in measured])
        # The draws of the sampler are fixed, so eager's error on one may be larger than that.
        largest = rows[np.isfinite(rows)].max(initial=probe.typical[name])
        step = max(probe.steps(name, truth[name]).max(initial=0.0) for _, truth in sets)
        steps = max(STEPS, SUM_STEPS * flow.dim**0.5) if name == "log_prob" else STEPS
        tolerance[name] = float(max(MARGIN * largest, steps * step))
    return Vectors(probe, tuple(sets), tolerance)


def write_vectors(folder: Path, vectors: Vectors) -> None:
    """Write the test vectors under ``folder``."""
    probe = vectors.probe
    for k, (inputs, outputs) in enumerate(vectors.sets):
        target = folder / "tests" / probe.graph.name / f"test_data_set_{k}"
        target.mkdir(parents=True)
        for kind, names, arrays in (
            ("input", probe.graph.inputs, inputs),
            ("output", probe.graph.outputs, outputs),
        ):
            for i, name in enumerate(names):
                value = probe.cast(name, arrays[name])
                (target / f"{kind}_{i}.pb").write_bytes(serialize(value, name))


@torch.no_grad()
def sensitivity(flow: RNVP, vectors: Vectors) -> float:
    """How many tolerances the outputs move if every weight is multiplied by 1.001.

    The largest over rows and outputs. Infinite if no output moves at all, which is a flow without
    weights. Below 1, ``rnvp-verify`` could not distinguish such a graph from the right one.
    """
    changed = copy.deepcopy(flow).double()
    for tensor in changed.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(CHANGE)
    largest = 0.0
    probe = vectors.probe
    for inputs, truth in vectors.sets:
        moved = eager(changed, probe.graph, inputs)
        for name, expected in truth.items():
            shift = errors(moved[name], expected, probe.scale[name])
            judged = shift[np.isfinite(expected.reshape(len(shift), -1)).all(1)]
            moved_by = min(judged.max(initial=0.0), np.finfo(np.float64).max)  # inf: it overflows
            largest = max(largest, float(moved_by) / vectors.tolerance[name])
    return largest or np.inf


def _chosen(probe: Probe) -> list[Measured]:
    """Well-conditioned rows: some like data, one row, and some of the tails."""
    data = np.flatnonzero(probe.calm[:DATA_ROWS])
    tails = DATA_ROWS + np.flatnonzero(probe.calm[DATA_ROWS:])
    chosen = [data[:ROWS], data[ROWS : ROWS + 1], tails[:TAIL]]
    return [_rows(probe.measured, rows) for rows in chosen if len(rows)]


def _rows(measured: Measured, rows: NDArray[np.intp]) -> Measured:
    """Some rows of what was measured; for a sampler, they must be consecutive."""

    def take(arrays: Arrays) -> Arrays:
        return {name: value[rows] if value.ndim else value for name, value in arrays.items()}

    inputs, runs = take(measured.inputs), {k: run[:, rows] for k, run in measured.runs.items()}
    if "count" in inputs:
        inputs |= {"start": np.array(inputs["start"] + rows[0]), "count": np.array(len(rows))}
    return Measured(inputs, take(measured.truth), runs, take(measured.rows))


def _draws(flow: RNVP, probe: Probe) -> list[Measured]:
    """Draws of the sampler: of seeds and starts with all kinds of bits, at three temperatures.

    There are more rows than for other graphs: the noise cannot be chosen, and a unit of a network
    may be inactive on most of it.
    """
    return [
        _calmest_draw(flow, probe, 7, 0, 1.0),
        _calmest_draw(flow, probe, 0x0123_4567_89AB_CDEF, 0x9_8765_4321, 1.5),
        _calmest_draw(flow, probe, -1, 2**40, 0.5),
    ]


def _calmest_draw(flow: RNVP, probe: Probe, seed: int, start: int, temperature: float) -> Measured:
    """Of the first draws from ``start`` on, that whose rows roundings change least.

    A draw with an integer that depends on a rounding is taken only if there is no other.
    """
    scalars = {"seed": seed, "start": start, "count": ATTEMPTS * DRAWN, "temperature": temperature}
    inputs = {name: np.array(value) for name, value in scalars.items()}
    if "context" in probe.inputs:
        contexts = probe.inputs["context"][:DATA_ROWS]
        inputs["context"] = contexts[np.arange(start, start + ATTEMPTS * DRAWN) % len(contexts)]
    drawn = measure(flow, probe.graph, inputs, probe.dtype, probe.scale)
    worst = np.max([rows / probe.typical[name] for name, rows in drawn.rows.items()], axis=0)
    calmest = int(np.argmin(worst.reshape(ATTEMPTS, DRAWN).max(1)))
    return _rows(drawn, np.arange(calmest * DRAWN, (calmest + 1) * DRAWN))
