"""How much faster two threads are than one, with the native engine and 65,536 rows.

    python -m benchmarks.native_threads BUNDLE ...

Both run in one process, in rounds that take turns. On a loaded machine two threads wait for a core.
The seconds of the processor are therefore shown beside the time: two threads that share the rows
evenly are at most 2 / (seconds of two / seconds of one) times as fast as one.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import rnvp_runtime
from benchmarks.racing import ratio
from benchmarks.tables import markdown

__all__ = ["main"]

ROWS = 65_536


def main() -> None:
    """Print one line for each bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=9, help="of each (%(default)s)")
    given = parser.parse_args()
    body = [_line(bundle, given.rounds) for bundle in given.bundles]
    head = ["flow", "processor, two / one", "so at most", "time, one / two"]
    print(markdown(head, body))


def _line(bundle: Path, rounds: int) -> list[str]:
    flows = [rnvp_runtime.load(bundle, threads=n, engine="native", preload=True) for n in (1, 2)]
    x = flows[0].sample(ROWS, seed=1)
    wall: list[list[float]] = [[], []]
    processor: list[list[float]] = [[], []]
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            score = partial(flows[which].log_prob, x)
            processor[which].append(_seconds(score, time.process_time))
            wall[which].append(_seconds(score, time.perf_counter))
    used = ratio(processor[1], processor[0])
    size = flows[0].manifest.flow.description
    return [size, str(used), f"{2 / used.median:.2f}", str(ratio(wall[0], wall[1]))]


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    call()
    return clock() - began


if __name__ == "__main__":
    main()
