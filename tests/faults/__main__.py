"""Fuzz the reading of bundles and checkpoints, and write the outcomes.

    python -m tests.faults --times 1000000 --seed 1     print the table
    python -m tests.faults --times 1000000 --write      put it into docs/faults.md

The mutations are divided among the kinds: most are of graphs, few of checkpoints, which take
longest. The run ends with the first finding, see `tests.faults.fuzzing`. `tests.faults.guided`
does the same with guidance by coverage.
"""

import argparse
import datetime
import multiprocessing
import platform
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.faults.fuzzing import KINDS, fuzz_afresh
from tests.pages import write_measured

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
SHARES = {"manifest": 0.25, "graph": 0.73, "checkpoint": 0.01, "archive": 0.01}
PART = 2_500  # mutations in one process from one seed
OUTCOMES = ("refused", "equal", "other")


def parts(kinds: list[str], times: int, seed: int) -> list[tuple[str, int, int]]:
    """(kind, mutations, seed) of each part of a run of ``times`` mutations."""
    whole = sum(SHARES[kind] for kind in kinds)
    found = []
    for kind in kinds:
        left = round(times * SHARES[kind] / whole)
        part = PART // 10 if kind in ("checkpoint", "archive") else PART
        for i in range(-(-left // part)):
            found.append((kind, min(part, left - i * part), seed + i))
    return found


def table(outcomes: dict[str, Counter[str]], seed: int) -> str:
    """A table with one row for each kind of file."""
    lines = [
        "| kind | mutations | refused | loads, equal | loads, other numbers |",
        "|---|---|---|---|---|",
    ]
    for kind, found in outcomes.items():
        cells = " | ".join(f"{found[name]:,}" for name in OUTCOMES)
        lines.append(f"| {kind} | {found.total():,} | {cells} |")
    total = sum(found.total() for found in outcomes.values())
    when = f"{datetime.date.today()}, {platform.system()} {platform.machine()}"
    python = f"Python {platform.python_version()}"
    said = f"{total:,} mutations from seed {seed}, no finding. Measured on {when}, {python}."
    return "\n".join([*lines, "", said])


def main() -> None:
    """Run the command that the module's docstring describes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--times", type=int, default=10_000, help="mutations of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--write", action="store_true", help="put the table into docs/faults.md")
    given = parser.parse_args()
    kinds = given.kind or list(KINDS)
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=spawn) as pool:
        running = {
            pool.submit(fuzz_afresh, *part): part for part in parts(kinds, given.times, given.seed)
        }
        for done in as_completed(running):
            kind, times, seed = running[done]
            found, took = done.result()
            outcomes[kind] += found
            print(f"{kind}: {times:,} mutations of seed {seed}, {took:.0f} s", flush=True)
    text = table(outcomes, given.seed)
    print(text)
    if given.write:
        write_measured(PAGE, "tests.faults", text)


if __name__ == "__main__":
    main()
