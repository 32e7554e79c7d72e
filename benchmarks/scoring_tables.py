"""``rnvp-score`` from and to each kind of table: what share of the time is the engine's?

    python -m benchmarks.scoring_tables                  # 1,000,000 rows of d 8, and a text
    python -m benchmarks.scoring_tables --rows 200_000 --rounds 3

The command runs on one thread in a process of its own, which measures the time inside
``Flow.log_prob``, the time of the command without imports, and the peak memory. The share is their
ratio, the median of the rounds. Reading and writing run beside the engine: on a machine that has no
second core to spare, they take time from it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import rnvp_exporters
from benchmarks.flows import FLOWS, data, make
from benchmarks.tables import markdown

SIZE = FLOWS["d8"]
CHUNK = 65_536
WAYS = (
    ("x.parquet", "s.parquet"),
    ("x.npy", "s.npy"),
    ("x.csv", "s.csv"),
    ("x.csv", "s.parquet"),
)
CHILD = """
import sys, time
if sys.argv.pop(1) == "without":
    sys.modules["pyarrow"] = None
from rnvp_runtime.commands.score import score
from rnvp_runtime.flow import Flow
from benchmarks.memory import peak_memory
inner, spent = Flow.log_prob, 0.0
def timed(*args, **options):
    global spent
    began = time.perf_counter()
    found = inner(*args, **options)
    spent += time.perf_counter() - began
    return found
Flow.log_prob = timed
score(sys.argv[1:], standalone_mode=False)
print(spent, peak_memory())
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rnvp_exporters.export(make(SIZE), folder / "model.rnvp", formats=["onnx"])
        write_tables(folder, asked.rows)
        ways = [(*way, "with") for way in WAYS] + [("x.csv", "s.csv", "without")]
        found: dict[Any, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(asked.rounds):
            for way in ways:
                found[way].append(score(folder, *way))
    body = []
    for (source, target, arrow), rounds in found.items():
        middle = {key: median(one[key] for one in rounds) for key in rounds[0]}
        body.append(
            [
                f"{source[1:]} to {target[1:]}, {arrow} pyarrow",
                f"{middle['seconds']:.2f} s",
                f"{middle['engine']:.2f} s",
                f"{100 * median(one['engine'] / one['seconds'] for one in rounds):.0f} %",
                f"{middle['peak'] / 2**20:.0f} MiB",
            ]
        )
    print(f"{asked.rows:,} rows of d {SIZE.dim}, {asked.rounds} rounds, one thread:\n")
    print(markdown(["", "in all", "in the engine", "share", "peak memory"], body))


def write_tables(folder: Path, rows: int) -> None:
    """The same rows as ``.npy``, Parquet and CSV; the last two with a column of text."""
    chunk = data(SIZE, CHUNK).astype(np.float32)
    matrix = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, SIZE.dim))
    schema = pa.schema([("id", pa.string()), *((f"x{i}", pa.float64()) for i in range(SIZE.dim))])
    with (
        pq.ParquetWriter(folder / "x.parquet", schema) as parquet,
        (folder / "x.csv").open("w") as csv,
    ):
        csv.write(",".join(schema.names) + "\n")
        for low in range(0, rows, CHUNK):
            part = chunk[: min(CHUNK, rows - low)]
            matrix[low : low + len(part)] = part
            names = [f"row{low + i}" for i in range(len(part))]
            wide = part.astype(np.float64)
            parquet.write_table(pa.table([names, *wide.T], schema=schema))
            lines = zip(names, *(map(repr, column.tolist()) for column in wide.T), strict=True)
            csv.writelines(f"{','.join(line)}\n" for line in lines)
    matrix.flush()


def score(folder: Path, source: str, target: str, arrow: str) -> dict[str, float]:
    """One run of the command: seconds in all, seconds in the engine, and bytes at the peak."""
    command = [
        sys.executable,
        "-c",
        CHILD,
        arrow,
        "model.rnvp",
        source,
        "-o",
        target,
        "--json",
        "--force",
    ]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    summary, last = ran.stdout.splitlines()
    engine, peak = map(float, last.split())
    return {"seconds": json.loads(summary)["seconds"], "engine": engine, "peak": peak}


if __name__ == "__main__":
    main()
