"""Many threads share one flow. Every result must equal that of a single thread.

python -m tests.hosts.threads model.rnvp --threads 32 --seconds 60            print the outcome
python -m tests.hosts.threads model.rnvp --threads 32 --seconds 60 --write    into docs/faults.md
python -m tests.hosts.threads model.rnvp --threads 1 --rows 1 --calls 1000000 this many, of one row
"""

import argparse
import datetime
import platform
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import rnvp_runtime
from tests.pages import write_measured

__all__ = ["Outcome", "run_threads"]

Call = Callable[[], Any]
SIZES = (1, 10, 300, 9_000)  # one row, a few, and more than a tile
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


class Outcome:
    """Counts that the threads share."""

    def __init__(self) -> None:
        self.calls = 0
        self.faults: list[str] = []
        self.lock = threading.Lock()


def run_threads(
    flow: rnvp_runtime.Flow,
    threads: int,
    go_on: Callable[[int], bool],
    sizes: Sequence[int] = SIZES,
) -> Outcome:
    """Make mixed calls of ``sizes`` rows in each thread while ``go_on(calls made)`` is true."""
    cases = _cases(flow, sizes)
    truth = [case() for case in cases]
    outcome = Outcome()

    def work(seed: int) -> None:
        draw, calls, faults = random.Random(seed), 0, []
        while go_on(calls):
            calls += 1
            which = draw.randrange(len(cases))
            try:
                found = cases[which]()
            except Exception as error:
                faults.append(f"case {which}: {type(error).__name__}: {error}")
                continue
            same = all(map(np.array_equal, _arrays(found), _arrays(truth[which])))
            if not same:
                faults.append(f"case {which} gives another result")
        with outcome.lock:
            outcome.calls += calls
            outcome.faults += faults

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return outcome


def _cases(flow: rnvp_runtime.Flow, sizes: Sequence[int]) -> list[Call]:
    """The calls of every method for each number of rows."""
    draw = np.random.default_rng(7)
    cases: list[Call] = []
    for n in sizes:
        x = draw.normal(size=(n, flow.dim))
        context = draw.normal(size=(n, flow.context_dim)) if flow.context_dim else None
        seed = int(draw.integers(2**63))
        cases += [
            partial(flow.log_prob, x, context),
            partial(flow.forward, x, context, return_log_prob=True),
            partial(flow.inverse, x, context),
            partial(flow.sample, n, seed=seed, context=context),
        ]
        if "gradient" in flow.manifest.graphs:
            cases.append(partial(flow.log_prob_and_grad, x, context))
    return cases


def _arrays(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def _memory() -> float:
    """The resident memory of the process in MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("bundle", type=Path)
    options.add_argument("--threads", type=int, default=32)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--calls", type=int, help="end after these calls instead")
    options.add_argument("--rows", type=int, nargs="+", default=SIZES)
    options.add_argument("--write", action="store_true", help="put it into docs/faults.md")
    given = options.parse_args()
    flow = rnvp_runtime.load(given.bundle)
    run_threads(flow, given.threads, lambda calls: calls < 20, given.rows)  # allocates what is kept
    before, end = _memory(), time.monotonic() + given.seconds
    each = None if given.calls is None else -(-given.calls // given.threads)
    outcome = run_threads(
        flow,
        given.threads,
        lambda calls: time.monotonic() < end if each is None else calls < each,
        given.rows,
    )
    text = (
        f"{outcome.calls:,} calls of {', '.join(f'{n:,}' for n in given.rows)} rows on "
        f"{given.threads} threads, {len(outcome.faults)} with another "
        f"result or an error; memory {before:.1f} MiB before and {_memory():.1f} MiB after. "
        f"Measured on {datetime.date.today()}, {platform.system()} {platform.machine()}."
    )
    print(text)
    for fault in outcome.faults[:10]:
        print(fault)
    if given.write:
        write_measured(PAGE, f"tests.hosts.threads{'' if each is None else ' --calls'}", text)
