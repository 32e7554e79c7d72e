"""The time from the start of a process to its first number, and the process's peak memory.

``python -m benchmarks.starting COMPETITOR FOLDER DIM`` is the process: it opens the flow, scores
one row, and prints its peak memory. ``measure`` starts such processes one after the other and
times them.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.competitors import COMPETITORS, Files
from benchmarks.memory import peak_memory

__all__ = ["measure"]

ROOT = Path(__file__).parents[1]


def measure(folder: Path, dim: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Competitor → for each round, ``seconds`` to its first number and ``peak`` bytes."""
    names = [competitor.name for competitor in COMPETITORS.values() if competitor.measures_start]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names:
            command = [sys.executable, "-m", "benchmarks.starting", name, str(folder), str(dim)]
            began = time.perf_counter()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
                assert process.stdout is not None
                printed = json.loads(process.stdout.readline())
                seconds = time.perf_counter() - began
            if turn:  # the first time, files come from the disk
                found[name].append({"seconds": seconds, "peak": printed["peak"]})
    return found


def main() -> None:
    """Score one row, and print the value and the peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("competitor", choices=COMPETITORS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("dim", type=int)
    given = parser.parse_args()
    files = Files(given.folder, given.dim, machine.cores())
    score = COMPETITORS[given.competitor].open(files, "density")
    value = float(score(np.full((1, given.dim), 0.1, np.float32))[0])
    print(json.dumps({"value": value, "peak": peak_memory()}), flush=True)


if __name__ == "__main__":
    main()
