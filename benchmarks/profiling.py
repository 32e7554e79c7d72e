"""Where the time goes: onnxruntime's own profile of a graph, against the floor.

    python -m benchmarks.profiling d8 1024
    python -m benchmarks.profiling d8 1 --graph sampler

Kernels are grouped by operator and shapes. The floor is numpy's sgemm for the same products. The
profiler rounds to microseconds and adds about one to each node, so at one row only the counts and
the proportions mean something.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks import floor
from benchmarks.flows import FLOWS, FlowSize, data, make
from benchmarks.racing import Calls, Pace, race
from benchmarks.tables import markdown
from rnvp_exporters.graphs import graph_definitions, trace
from rnvp_exporters.lowering import lower

RUNS = 200


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flow", choices=FLOWS)
    parser.add_argument("rows", type=int)
    parser.add_argument("--graph", choices=("density", "inverse", "sampler"), default="density")
    asked = parser.parse_args()
    size = FLOWS[asked.flow]
    groups = profile(size, asked.rows, asked.graph)
    whole = sum(map(sum, groups.values()))
    lines = []
    for (operator, shapes), times in sorted(groups.items(), key=lambda item: -sum(item[1])):
        lowest = product_floor(asked.rows, shapes) if "Gemm" in operator else None
        lines.append(
            [
                operator,
                shapes,
                str(len(times)),
                f"{sum(times):.1f}",
                f"{sum(times) / whole:.1%}",
                "" if lowest is None else f"{lowest * len(times):.1f}",
            ]
        )
    print(markdown(["operator", "inputs", "nodes", "µs", "share", "sgemm alone, µs"], lines))
    print(f"\nKernels together: {whole:.0f} µs for {asked.rows:,} rows.")


def profile(size: FlowSize, rows: int, name: str) -> dict[tuple[str, str], list[float]]:
    """Operator and input shapes → µs of each such node, the median of the runs."""
    flow = make(size)
    graph = next(g for g in graph_definitions(flow.dim, flow.context_dim) if g.name == name)
    feeds: dict[str, Any] = {key: data(size, rows) for key in ("x", "z") if key in graph.inputs}
    scalars: dict[str, Any] = {"seed": 7, "start": 0, "count": rows, "temperature": np.float32(1)}
    feeds |= {key: np.array(value) for key, value in scalars.items() if key in graph.inputs}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        content = trace(graph, lower(flow), torch.float32, "onnx", 18)
        session = onnxruntime.InferenceSession(content, options)
        for _ in range(RUNS):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes[event["name"]].append(event)
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for runs in nodes.values():
        said = runs[0]["args"]
        shapes = " ".join(
            "×".join(map(str, shape)) or "scalar"
            for entry in said.get("input_type_shape", [])
            for shape in entry.values()
        )
        groups[said["op_name"], shapes].append(float(np.median([run["dur"] for run in runs])))
    return groups


def product_floor(rows: int, shapes: str) -> float | None:
    """µs of sgemm for a Gemm whose profile names its input and its bias."""
    parts = [part.split("×") for part in shapes.split(" ")]
    if len(parts) < 2:
        return None
    inputs, outputs = int(parts[0][-1]), int(parts[-1][-1])
    left, right = (np.ones(shape, np.float32) for shape in ((rows, inputs), (inputs, outputs)))
    out = np.empty((rows, outputs), np.float32)
    with floor.single_threaded():
        times = race({"": Calls(lambda: np.dot(left, right, out))}, Pace(9, 0.005))[""]
    return float(np.median(times)) * 1e6


if __name__ == "__main__":
    main()
