"""Time against tile size, threads, and how results come back: what the tile rule rests on.

    python -m benchmarks.tiling

Each number is a multiple of what the rule's own tile takes, on as many threads.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import rnvp_exporters
from benchmarks import machine
from benchmarks.flows import FLOWS, FlowSize, data, make
from benchmarks.racing import Calls, Contestant, Pace, race, ratio
from benchmarks.tables import markdown
from rnvp_runtime.engines.onnxruntime_engine import open_session
from rnvp_runtime.tiles import over_tiles, rows_in_a_tile

ROWS = 16_384
TILES = (128, 256, 512, 1024, 2048, 4096, ROWS)
Work = Callable[[int, int], None]


def main() -> None:
    """Print a table of tiles for each number of threads, and one of copies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    pace = Pace(3 if parser.parse_args().quick else 11, 0.0)
    threads = sorted({1, machine.cores()})
    lines = [line for size in FLOWS.values() for line in measure(size, threads, pace)]
    tiles = [f"{tile:,}" for tile in TILES]
    print(markdown(["flow", "threads", "selected", *tiles, "bound, not copied"], lines))


def measure(size: FlowSize, threads: list[int], pace: Pace) -> list[list[str]]:
    """One line of the table for each number of threads."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.rnvp"
        rnvp_exporters.export(make(size), path, formats=["onnx"])
        session = open_session((path / "density.onnx").read_bytes())
    x, out = data(size, ROWS), np.empty(ROWS, np.float32)
    rule = rows_in_a_tile(size.hidden, 4)
    lines = []
    for number in threads:
        runs = {str(tile): tiled(copying(session, x, out), tile, number) for tile in TILES}
        runs["rule"] = tiled(copying(session, x, out), rule, number)
        runs["bound"] = tiled(binding(session, x, out), rule, number)
        times = race(runs, pace)
        ratios = [str(ratio(times[name], times["rule"])) for name in (*map(str, TILES), "bound")]
        lines.append([str(size), str(number), f"{rule:,}", *ratios])
    return lines


def tiled(work: Work, tile: int, threads: int) -> Contestant:
    """The whole of ``work`` in tiles of ``tile`` rows."""
    return Calls(lambda: over_tiles(work, ROWS, tile, threads))


def copying(session: Any, x: NDArray[np.float32], out: NDArray[np.float32]) -> Work:
    """The result is copied into place, as in the runtime."""

    def work(low: int, high: int) -> None:
        out[low:high] = session.run(["log_prob"], {"x": x[low:high]})[0]

    return work


def binding(session: Any, x: NDArray[np.float32], out: NDArray[np.float32]) -> Work:
    """onnxruntime itself writes the result to its place."""

    def work(low: int, high: int) -> None:
        bound = session.io_binding()
        bound.bind_cpu_input("x", x[low:high])
        place = onnxruntime.OrtValue.ortvalue_from_numpy(out[low:high])
        bound.bind_ortvalue_output("log_prob", place)
        session.run_with_iobinding(bound)

    return work


if __name__ == "__main__":
    main()
