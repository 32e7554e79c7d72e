"""Kill a process that replaces a bundle repeatedly, while a reader loads the bundle.

    python -m tests.faults.killing --times 200            print the outcome
    python -m tests.faults.killing --times 200 --write    put it into docs/faults.md

Each of the writers is killed at a random moment, 0 to 30 ms after it began to replace the bundle.
The bundle is prepared before, so the test covers publishing and not tracing. Each load must give
one of the two bundles complete. One more run after the last kill must remove all leftovers.
"""

import argparse
import dataclasses
import datetime
import json
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import rnvp_runtime
from rnvp_runtime import Manifest
from rnvp_runtime.publishing import publish_folder
from tests.faults.bundles import copy, put_graph, sound_bundle
from tests.pages import write_measured

__all__ = ["Outcome", "kill_writers"]

WRITER = """
import shutil, sys
from pathlib import Path
from rnvp_runtime.publishing import publish_folder

folder = Path(sys.argv[1])
print("begun", flush=True)
while True:
    for bundle in (folder / "other" / "model.rnvp", folder / "model.rnvp"):
        target = folder / "target" / "model.rnvp"
        with publish_folder(target, force=True, is_ours=lambda _: True) as work:
            shutil.copytree(bundle, work, dirs_exist_ok=True)
"""
X = [[0.5, -1.0], [2.0, 3.0]]
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the reader saw, and what was left."""

    kills: int
    loads: int
    faults: tuple[str, ...]  # of loads that were not complete
    litter: int  # temporary folders before the last run
    names: tuple[str, ...]  # in the folder after the last run


def kill_writers(folder: Path, times: int, seed: int = 0) -> Outcome:
    """Kill ``times`` writers of ``folder/target/model.rnvp`` while a reader loads it."""
    draw = random.Random(seed)
    bundles = _two_bundles(folder)
    place = folder / "target"
    place.mkdir()
    _replace(bundles[0], place / "model.rnvp")
    (folder / "truth.json").write_text(json.dumps(_truth(bundles)))
    reader = _start("-m", "tests.faults.killing", "--read", folder)
    assert reader.stdout is not None
    reader.stdout.read(1)  # the reader has loaded the bundle once
    most_litter = 0
    for _ in range(times):
        writer = _start("-c", WRITER, folder)
        assert writer.stdout is not None
        writer.stdout.read(1)  # the writer has begun
        time.sleep(draw.uniform(0, 0.03))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        most_litter = max(most_litter, len(list(place.glob(".*.tmp"))))
    (folder / "stop").touch()
    reader.communicate()
    seen = json.loads((folder / "read.json").read_text())
    _replace(bundles[1], place / "model.rnvp")
    names = tuple(sorted(path.name for path in place.iterdir()))
    return Outcome(times, seen["loads"], tuple(seen["faults"]), most_litter, names)


def _two_bundles(folder: Path) -> tuple[Path, Path]:
    """Two bundles of the same columns that give different numbers."""
    one = sound_bundle(folder)
    other = copy(one, folder / "other")
    model = onnx.load(other / "density.onnx")
    for weight in model.graph.initializer:
        if weight.name == "loc":
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + 1, "loc"))
    put_graph(other, "density", model.SerializeToString())
    manifest = dataclasses.replace(Manifest.read(other), id="f" * 16)
    (other / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return one, other


def _truth(bundles: tuple[Path, Path]) -> dict[str, list[float]]:
    """The id of each bundle and the densities that it gives."""
    flows = [rnvp_runtime.load(bundle) for bundle in bundles]
    return {flow.manifest.id: flow.log_prob(X).tolist() for flow in flows}


def _replace(bundle: Path, target: Path) -> None:
    with publish_folder(target, force=True, is_ours=lambda _: True) as work:
        shutil.copytree(bundle, work, dirs_exist_ok=True)


def _start(*arguments: str | Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE)


def _read(folder: Path) -> None:
    """Load the bundle and compute with it until the file ``stop`` exists."""
    truth = json.loads((folder / "truth.json").read_text())
    loads, faults = 0, []
    while not (folder / "stop").exists():
        loads += 1
        try:
            flow = rnvp_runtime.load(folder / "target" / "model.rnvp")
            found = flow.log_prob(X)
            if not np.array_equal(found, truth[flow.manifest.id]):
                faults.append(f"{flow.manifest.id} gave {found}")
        except Exception as error:
            faults.append(f"{type(error).__name__}: {error}")
        if loads == 1:
            print("reading", flush=True)
    (folder / "read.json").write_text(json.dumps({"loads": loads, "faults": faults}))


if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--times", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--read", type=Path, help="be the reader below this folder")
    options.add_argument("--write", action="store_true", help="put it into docs/faults.md")
    given = options.parse_args()
    if given.read:
        _read(given.read)
        sys.exit()
    with tempfile.TemporaryDirectory() as name:
        outcome = kill_writers(Path(name), given.times, given.seed)
    text = (
        f"{outcome.kills} kills (seed {given.seed}), {outcome.loads:,} loads, "
        f"{len(outcome.faults)} of them not whole; at most {outcome.litter} temporary folders at a "
        f"time, {len(outcome.names) - 1} after the next run. Measured on {datetime.date.today()}, "
        f"{platform.system()} {platform.machine()}."
    )
    print(text)
    for fault in outcome.faults[:10]:
        print(fault)
    if given.write:
        write_measured(PAGE, "tests.faults.killing", text)
