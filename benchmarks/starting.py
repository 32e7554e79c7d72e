"""From the start of a process to its first number, and the memory that it peaked at.

``python -m benchmarks.starting COMPETITOR FOLDER`` is the process: it loads one form of the flow,
scores one row, and says what it used. ``measure`` starts such processes in turn and times them.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["STARTS", "measure"]

ROOT = Path(__file__).parents[1]

Score = Callable[[Any], Any]


def ours(folder: Path) -> Score:
    import rnvp_runtime

    return rnvp_runtime.load(folder / "model.rnvp").log_prob


def plain_onnxruntime(folder: Path) -> Score:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "plain-density.onnx")
    return lambda x: session.run(None, {"input": x})[0]


def openvino_float32(folder: Path) -> Score:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(folder / "plain-density.onnx", "CPU", settings)
    return lambda x: model([x])[0]


def torchscript(folder: Path) -> Score:
    import torch

    program = torch.jit.load(folder / "density.ts")
    return lambda x: program(torch.from_numpy(x)).numpy()


def eager(folder: Path) -> Score:
    import torch

    flow = torch.load(folder / "eager.pt", weights_only=False)
    with torch.no_grad():
        return lambda x: sum(flow(torch.from_numpy(x))[1:]).detach().numpy()


STARTS: dict[str, Callable[[Path], Score]] = {
    "rnvp-deploy": ours,
    "plain ONNX Runtime": plain_onnxruntime,
    "OpenVINO": openvino_float32,
    "TorchScript": torchscript,
    "eager PyTorch": eager,
}


def measure(folder: Path, dim: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Of each competitor, for each round: ``seconds`` to its first number, ``peak`` bytes."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in STARTS}
    for turn in range(rounds + 1):
        for name in STARTS:
            command = [sys.executable, "-m", "benchmarks.starting", name, str(folder), str(dim)]
            began = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
                assert process.stdout is not None
                said = json.loads(process.stdout.readline())
                seconds = time.perf_counter() - began
            if turn:  # the first time, files come from the disk
                found[name].append({"seconds": seconds, "peak": said["peak"]})
    return found


def peak_memory() -> int:
    """The most bytes of this process that were resident at once."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent had when it forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("competitor", choices=STARTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("dim", type=int)
    asked = parser.parse_args()
    score = STARTS[asked.competitor](asked.folder)
    import numpy as np

    value = float(score(np.full((1, asked.dim), 0.1, np.float32))[0])
    print(json.dumps({"value": value, "peak": peak_memory()}), flush=True)


if __name__ == "__main__":
    main()
