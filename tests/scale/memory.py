"""The peak memory of scoring a Parquet file and of sampling into shards, by number of rows.

    python -m tests.scale.memory BUNDLE --rows 1e7 --rows 1e8 --write      into docs/scaling.md

The peaks must be below 300 MiB, and within 10 % of each other.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import rnvp_runtime
from tests.pages import measured_here, write_measured
from tests.scale.killing import COMMAND

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
MIB = 1 << 20
LIMIT = 300  # MiB
SPREAD = 1.1  # the largest ratio of peaks for different numbers of rows


def write_table(path: Path, columns: Sequence[str], rows: int, block: int = 1_000_000) -> None:
    """Write a Parquet file of float32 numbers in row groups of ``block`` rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(0)
    schema = pa.schema([(name, pa.float32()) for name in columns])
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for low in range(0, rows, block):
            size = min(block, rows - low)
            values = [generator.standard_normal(size, np.float32) for _ in columns]
            writer.write_table(pa.table(values, schema=schema))


def peak(verb: str, *arguments: object) -> float:
    """The peak memory of a run of ``rnvp-VERB`` in MiB."""
    command = [sys.executable, "-c", COMMAND.format(verb), *map(str, arguments)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        assert process.returncode == 0, errors.read().decode()
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MIB


def scoring(bundle: Path, folder: Path, rows: int) -> float:
    """The peak of scoring a Parquet file with this number of rows, in MiB."""
    table = folder / f"{rows}.parquet"
    write_table(table, rnvp_runtime.load(bundle).columns, rows)
    found = peak("score", bundle, table, "-o", folder / f"{rows} scored.parquet")
    table.unlink()
    return found


def sampling(bundle: Path, folder: Path, rows: int) -> float:
    """The peak of drawing this number of rows into 10 Parquet files, in MiB."""
    output = folder / f"sampled {rows}"
    return peak(
        *("sample", bundle, "-n", rows, "--seed", 1, "-o", output),
        *("--shards", 10, "--format", "parquet"),
    )


def table(peaks: dict[int, tuple[float, float]]) -> str:
    """The peaks as a table of the page."""
    lines = ["| rows | scoring | sampling |", "|---|---|---|"]
    lines += [
        f"| {n:,} | {scored:.0f} MiB | {drawn:.0f} MiB |" for n, (scored, drawn) in peaks.items()
    ]
    note = "the most memory of the process, for a Parquet file and for 10 Parquet shards"
    return "\n".join([*lines, "", f"{measured_here()}: {note}."])


def main() -> None:
    """Measure and print the peaks, and compare them with the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rows", type=float, action="append", required=True)
    parser.add_argument("--write", action="store_true", help="put the table into docs/scaling.md")
    options = parser.parse_args()
    peaks = {}
    for rows in map(int, options.rows):
        with tempfile.TemporaryDirectory() as folder:
            scored = scoring(options.bundle, Path(folder), rows)
            print(f"{rows:,} rows: scoring {scored:.0f} MiB", file=sys.stderr, flush=True)
            drawn = sampling(options.bundle, Path(folder), rows)
        peaks[rows] = scored, drawn
    print(table(peaks))
    for found in zip(*peaks.values(), strict=True):
        assert max(found) < LIMIT, f"{max(found):.0f} MiB, expected less than {LIMIT}"
        assert max(found) < SPREAD * min(found), f"{found} MiB: it depends on the rows"
    if options.write:
        write_measured(PAGE, "tests.scale.memory", table(peaks))


if __name__ == "__main__":
    main()
