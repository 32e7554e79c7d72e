"""Fuzz the reading of bundles and checkpoints; docs/bundle.md has the figures of a long run.

    python -m tests.faults --times 1000000 --seed 1 --kind manifest --kind graph

`tests.faults.guided` does the same, led by coverage.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from tests.faults.bundles import sound_bundle
from tests.faults.fuzzing import CHECKPOINT, KINDS, fuzz

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("--times", type=int, default=10_000, help="mutations of each kind")
options.add_argument("--seed", type=int, default=0)
options.add_argument("--kind", action="append", choices=list(KINDS))
given = options.parse_args()
for kind in given.kind or KINDS:
    with tempfile.TemporaryDirectory() as folder:
        sound_bundle(Path(folder))
        shutil.copy(CHECKPOINT, Path(folder, "model.pt"))
        began = time.process_time()
        outcomes = fuzz(kind, Path(folder), given.times, given.seed)
    took = time.process_time() - began
    print(f"{kind}: {given.times:,} mutations of seed {given.seed}, {took:.0f} s of processor time")
    for outcome, count in sorted(outcomes.items()):
        print(f"  {outcome:<8} {count:>9,}", flush=True)
