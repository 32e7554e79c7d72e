"""A file of any length through ``rnvp-score``: is memory flat, and is it as fast as in memory?

    python -m benchmarks.scoring                        # 1 and 10 million rows
    python -m benchmarks.scoring --rows 100_000_000     # and 100 million: 1.2 GB of disk

The flow of d 2, float32 rows in a ``.npy``, log_prob into another, on all cores. Each length is a
process of its own. What is found goes into ``results/results.json`` if that is there.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import rnvp_exporters
import rnvp_runtime
from benchmarks import machine
from benchmarks.flows import FLOWS, data, make
from benchmarks.racing import Calls, Pace, median, race
from benchmarks.results import RESULTS, Results

SIZE = FLOWS["d2"]
LENGTHS = (1_000_000, 10_000_000)
CHUNK = 65_536
CHILD = """
import sys
from rnvp_runtime.commands.score import score
from benchmarks.memory import peak_memory
score(sys.argv[1:], standalone_mode=False)
print(peak_memory())
"""


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="a longer file after those of 1 and 10 million")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    lengths = sorted({*LENGTHS, asked.rows or LENGTHS[-1]})
    threads = machine.cores()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rnvp_exporters.export(make(SIZE), folder / "model.rnvp", formats=["onnx"])
        write_rows(folder / "x.npy", lengths[-1])
        found = [score(folder, rows, threads) for rows in lengths]
    for line in found:
        print(
            f"{line['rows']:>12,} rows: {line['seconds']:.1f} s, peak {line['peak'] / 2**20:.0f} "
            f"MiB, {line['speed']:.2f} of the speed of {CHUNK:,} rows in memory"
        )
    path = asked.output / "results.json"
    if path.exists():
        results = Results.read(path)
        results.scoring = found
        results.write(path)


def write_rows(path: Path, rows: int) -> None:
    """A float32 .npy of (rows, 2), written in chunks."""
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, (rows, SIZE.dim))
    chunk = data(SIZE, CHUNK)
    for low in range(0, rows, CHUNK):
        part = matrix[low : low + CHUNK]
        part[:] = chunk[: len(part)]
    matrix.flush()


def score(folder: Path, rows: int, threads: int) -> dict[str, float]:
    """Score the first ``rows`` of the file; before and after, time the same in memory."""
    table = folder / f"x{rows}.npy"
    whole = np.load(folder / "x.npy", mmap_mode="r")
    with table.open("wb") as file:  # a shorter file of its own
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (rows, SIZE.dim)}
        )
        for low in range(0, rows, CHUNK):
            file.write(whole[low : min(low + CHUNK, rows)].tobytes())
    del whole
    out = folder / "log_prob.npy"
    command = [sys.executable, "-c", CHILD, str(folder / "model.rnvp"), str(table), "-o", str(out)]
    before = in_memory(folder, threads)
    began = time.perf_counter()
    ran = subprocess.run(
        [*command, "--threads", str(threads), "--json"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    wall = time.perf_counter() - began
    after = in_memory(folder, threads)
    summary, peak = ran.stdout.splitlines()
    seconds = json.loads(summary)["seconds"]  # without starting and importing
    table.unlink()
    return {
        "rows": rows,
        "seconds": seconds,
        "wall": wall,
        "peak": int(peak),
        "speed": (before + after) / 2 * rows / seconds,
    }


def in_memory(folder: Path, threads: int) -> float:
    """Seconds a row of 65,536 rows that lie in memory."""
    flow, x = rnvp_runtime.load(folder / "model.rnvp", threads=threads), data(SIZE, CHUNK)
    times = race({"": Calls(lambda: flow.log_prob(x))}, Pace(15, 0.05))
    return median(times[""]) / CHUNK


if __name__ == "__main__":
    main()
