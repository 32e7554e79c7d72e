"""The native engine in C: one row against the memory floor, and the start of a program.

    python -m benchmarks.native_c                        print the tables
    python -m benchmarks.native_c --write docs/native.md

``one_row.c`` times one row beside one read of as many bytes as the flow has, from the cache or
memory that holds them: the floor of any engine that keeps no state between rows. ``first_number.c``
is a whole program. Both are compiled with -O3 by the compiler that builds the library.
"""

import argparse
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.flows import FLOWS, FlowSize, make
from benchmarks.tables import markdown
from rnvp_exporters.native import flow_bin
from tests.pages import write_measured

__all__ = ["main"]

HERE = Path(__file__).parent
ENGINE = HERE.parent / "runtime" / "c"
READS = ("read by 16 bytes", "read by 32 bytes")


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000, help="of each row (%(default)s)")
    parser.add_argument("--starts", type=int, default=25, help="of each program (%(default)s)")
    parser.add_argument("--write", type=Path, help="a page that has the markers of this module")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        programs = {name: _compile(name, Path(folder)) for name in ("one_row", "first_number")}
        rows, starts = [], []
        for name, size in FLOWS.items():
            file = Path(folder) / f"{name}.bin"
            file.write_bytes(flow_bin(make(size), "float32"))
            rows.append(_one_row(programs["one_row"], file, size, given.repeats))
            starts.append(_starts(programs["first_number"], file, size, given.starts))
    text = _text(rows, starts, given.repeats, given.starts)
    if given.write:
        write_measured(given.write, "benchmarks.native_c", text)
    print(text)


def _compile(name: str, folder: Path) -> Path:
    program = folder / name
    sources = [str(HERE / f"{name}.c"), str(ENGINE / "rnvp.c")]
    command = ["cc", "-O3", "-std=c11", "-I", str(ENGINE), *sources, "-lm", "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def _one_row(program: Path, file: Path, size: FlowSize, repeats: int) -> list[str]:
    """The line of a flow: the floor, and each function in µs and in floors."""
    told = subprocess.run(
        [program, file, str(repeats)], check=True, capture_output=True, text=True
    ).stdout
    found = re.findall(r"^([\w ]+?) +([\d.]+) us \(least", told, re.MULTILINE)
    medians = {name: float(value) for name, value in found}
    floor = min(medians[name] for name in READS)
    line = [str(size), f"{file.stat().st_size / 1024:.0f} KB", f"{floor:.2f} µs"]
    for function in ("forward", "inverse", "sample"):
        line.append(f"{medians[function]:.2f} µs, {medians[function] / floor:.2f}")
    return [*line, f"{medians['sample'] / medians['inverse']:.2f}"]


def _starts(program: Path, file: Path, size: FlowSize, starts: int) -> list[str]:
    """The line of a flow: milliseconds until the first number is read, processor time, memory."""
    wall, processor, resident = [], [], []
    for _ in range(starts):
        began = time.perf_counter()
        process = subprocess.Popen([program, file], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        wall.append(1e3 * (time.perf_counter() - began))
        resident.append(int(process.stdout.readline()) / 1024)
        process.stdout.close()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
        processor.append(1e3 * (used.ru_utime + used.ru_stime))
    low, middle = min(wall), float(np.median(wall))
    return [
        str(size),
        f"{np.median(processor):.1f} ms",
        f"{low:.1f} ms",
        f"{middle:.1f} ms",
        f"{max(resident):.1f} MB",
    ]


def _text(rows: list[list[str]], starts: list[list[str]], repeats: int, runs: int) -> str:
    about = machine.describe()
    return "\n\n".join(
        [
            f"`python -m benchmarks.native_c`, {about['date']}: {about['cpu']}, L2 {about['l2']}, "
            f"load average {about['load']} for {about['cores']} cores. One row: medians of "
            f"{repeats:,} rounds in turn, in µs and in multiples of the floor.",
            markdown(
                ["flow", "flow.bin", "floor", "forward", "inverse", "sample", "sample / inverse"],
                rows,
            ),
            f"A whole program, {runs} starts: the process is started, opens the file, scores a row "
            "and prints it. Time waits for a core where the machine is loaded, so processor time "
            "stands beside it.",
            markdown(["flow", "processor", "least time", "median time", "resident"], starts),
        ]
    )


if __name__ == "__main__":
    main()
