"""A bundle's own test vectors, in the layout of the ONNX backend tests.

    tests/<graph>/test_data_set_<k>/input_<i>.pb, output_<i>.pb

Each file is one serialized TensorProto, in the order of the graph's inputs and outputs. What is
expected is the truth, eager in float64, and not what any engine gave; so any engine, on any
machine, can be held to the tolerance in the manifest. Sets 0–2 are rows like data, one row, and
rows of the tails; set 3, where an engine must match it, holds NaN and infinity.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_exporters.proof.probes import DATA_ROWS, Arrays, Probe, eager
from rnvp_runtime.bundle.tensor_proto import serialize

__all__ = ["write_vectors"]

ROWS, TAIL = 17, 8


def write_vectors(folder: Path, flow: RNVP, probe: Probe) -> None:
    """Write the test vectors of ``probe.graph`` under ``folder``."""
    for k, (inputs, outputs) in enumerate(_sets(flow, probe)):
        target = folder / "tests" / probe.graph.name / f"test_data_set_{k}"
        target.mkdir(parents=True)
        for kind, names, arrays in (
            ("input", probe.graph.inputs, inputs),
            ("output", probe.graph.outputs, outputs),
        ):
            for i, name in enumerate(names):
                value = probe.cast(name, arrays[name])
                (target / f"{kind}_{i}.pb").write_bytes(serialize(value, name))


def _sets(flow: RNVP, probe: Probe) -> list[tuple[Arrays, Arrays]]:
    if probe.graph.name == "sampler":
        return [_draw(flow, probe, ROWS, 7, 0, 1.0), _draw(flow, probe, 5, -1, 2**40, 0.5)]
    usable = np.flatnonzero(np.isfinite(list(probe.rows.values())).all(0))
    data, tail = usable[usable < DATA_ROWS], usable[usable >= DATA_ROWS]
    taken = [data[:ROWS], data[ROWS : ROWS + 1], tail[:TAIL]]
    sets = [(_rows(probe.inputs, rows), _rows(probe.truth, rows)) for rows in taken if len(rows)]
    if probe.broken is not None and probe.exact:
        sets.append(probe.broken)
    return sets


def _rows(arrays: Arrays, rows: NDArray[np.intp]) -> Arrays:
    return {name: value[rows] for name, value in arrays.items()}


@torch.no_grad()
def _draw(
    flow: RNVP, probe: Probe, count: int, seed: int, start: int, temperature: float
) -> tuple[Arrays, Arrays]:
    scalars = {"seed": seed, "start": start, "count": count, "temperature": temperature}
    inputs = {name: np.array(value) for name, value in scalars.items()}
    if "context" in probe.inputs:
        inputs["context"] = probe.inputs["context"][:count]
    return inputs, eager(copy.deepcopy(flow).double(), probe.graph, inputs)
