"""Fuzz the reading of bundles: ``python -m tests.faults --times 100000 --seed 1``."""

import argparse
import tempfile
import time
from pathlib import Path

from tests.faults.bundles import sound_bundle
from tests.faults.fuzzing import fuzz

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--times", type=int, default=10_000)
options.add_argument("--seed", type=int, default=0)
given = options.parse_args()
with tempfile.TemporaryDirectory() as folder:
    began = time.perf_counter()
    outcomes = fuzz(sound_bundle(Path(folder)), given.times, given.seed)
    print(f"{given.times:,} mutations of seed {given.seed}, {time.perf_counter() - began:.0f} s")
    for outcome, count in sorted(outcomes.items()):
        print(f"{outcome:<18} {count:>9,}")
