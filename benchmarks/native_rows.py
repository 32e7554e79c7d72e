"""The native engine beside our onnxruntime and eager PyTorch: what its default rule rests on.

    python -m benchmarks.native_rows --rounds 41

All are called in one process, through their public functions, numpy in and numpy out, and timed in
seconds of the processor, so that other processes disturb little; with several threads these are the
seconds of all threads together. Ratios are formed within a round, see `benchmarks.racing`. Eager
PyTorch runs on one thread.
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import rnvp_exporters
import rnvp_runtime
from benchmarks.flows import FLOWS, FlowSize, data, make
from benchmarks.racing import Calls, Contestant, Pace, median, race, ratio
from benchmarks.source import Density, Inverse, StackedNVP
from benchmarks.tables import duration, markdown

__all__ = ["main"]

ROWS = (1, 4, 16, 64, 256)
FUNCTIONS = ("density", "inverse", "gradient", "sample")


def main() -> None:
    """Print one line for each flow, function and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41, help="turns of each (%(default)s)")
    parser.add_argument("--turn", type=float, default=0.02, help="seconds a turn (%(default)s)")
    parser.add_argument("--flows", nargs="+", choices=FLOWS, default=list(FLOWS))
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS))
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS), help=f"default: {ROWS}")
    parser.add_argument("--threads", type=int, default=1, help="of each flow (%(default)s)")
    parser.add_argument("--keep", type=Path, help="a folder for the bundles, made once")
    given = parser.parse_args()
    torch.set_num_threads(1)
    body = []
    for name in given.flows:
        with tempfile.TemporaryDirectory() as folder:
            calls = functions(FLOWS[name], (given.keep or Path(folder)) / name, given.threads)
            for function in given.functions:
                for rows in given.rows:
                    print(f"{name}: {function} of {rows:,}", file=sys.stderr)
                    body.append(measure(calls, FLOWS[name], function, rows, given))
    head = ["flow", "", "rows", "native", "onnxruntime / native", "eager / native"]
    print(markdown(head, body))


def functions(size: FlowSize, folder: Path, threads: int) -> dict[str, dict[str, Any]]:
    """Contestant -> function -> what computes it."""
    flow = make(size)
    if not (folder / "model.rnvp").exists():
        folder.mkdir(parents=True, exist_ok=True)
        rnvp_exporters.export(flow, folder / "model.rnvp", formats=("onnx",))
    calls: dict[str, dict[str, Any]] = {}
    for engine in ("native", "onnxruntime"):
        loaded = rnvp_runtime.load(
            folder / "model.rnvp", engine=engine, threads=threads, preload=True
        )
        calls[engine] = {
            "density": loaded.log_prob,
            "inverse": loaded.inverse,
            "gradient": loaded.log_prob_and_grad,
            "sample": partial(loaded.sample, seed=7),
        }
    eager = StackedNVP(flow).eval()
    density, inverse = Density(eager), Inverse(eager)

    def run(module: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return module(torch.from_numpy(values)).numpy()

    def sample(rows: int) -> NDArray[np.float32]:
        with torch.inference_mode():
            return inverse(torch.randn(rows, size.dim)).numpy()

    def gradient(values: NDArray[np.float32]) -> NDArray[np.float32]:
        x = torch.from_numpy(values).requires_grad_()
        (found,) = torch.autograd.grad(density(x).sum(), x)
        return found.numpy()

    calls["eager"] = {
        "density": partial(run, density),
        "inverse": partial(run, inverse),
        "gradient": gradient,
        "sample": sample,
    }
    return calls


def measure(
    calls: dict[str, dict[str, Any]],
    size: FlowSize,
    function: str,
    rows: int,
    given: argparse.Namespace,
) -> list[str]:
    """One line of the table."""
    z = np.random.default_rng(1).standard_normal((rows, size.dim), dtype=np.float32)
    argument: Any = {"inverse": z, "sample": rows}.get(function, data(size, rows))
    contestants: dict[str, Contestant] = {
        name: Calls(partial(one[function], argument), time.process_time)
        for name, one in calls.items()
    }
    seconds = race(contestants, Pace(given.rounds, given.turn))
    native = seconds["native"]
    ratios = [str(ratio(seconds[name], native)) for name in ("onnxruntime", "eager")]
    return [size.name, function, f"{rows:,}", duration(median(native)), *ratios]


if __name__ == "__main__":
    main()
