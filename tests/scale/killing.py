"""Kill runs of rnvp-sample and rnvp-score at random moments and resume them.

    python -m tests.scale.killing BUNDLE --moments 50 --write      into docs/scaling.md

At each moment, ``kill -9`` ends the process between its start and its last file. After every kill
the files with final names are compared with those of an unbroken run. The job is resumed until it
is complete, and started again while moments are left.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.pages import measured_here, write_measured

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
COMMAND = "import sys; from rnvp_runtime.commands.{0} import {0}; {0}()"


def started(verb: str, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start the command ``rnvp-VERB``."""
    command = [sys.executable, "-c", COMMAND.format(verb), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def run(verb: str, arguments: Sequence[str]) -> None:
    """Run ``rnvp-VERB`` to its end."""
    process = started(verb, arguments)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


def contents(folder: Path) -> dict[str, bytes]:
    """The contents of the files of ``folder`` that have final names."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def kill_and_resume(
    verb: str, arguments: Sequence[str], whole: Path, broken: Path, moments: int, seed: int
) -> int:
    """Kill a run ``moments`` times, resume it, and compare it with the unbroken run.

    Args:
        verb: ``sample`` or ``score``.
        arguments: The arguments of the command, without ``-o``.
        whole: The folder of the unbroken run.
        broken: The folder of the killed runs.
        moments: The number of kills.
        seed: The seed of the moments.

    Returns:
        The number of kills during the writing of a file.
    """
    began = time.monotonic()
    run(verb, [*arguments, "-o", f"{whole}/"])
    seconds, expected = time.monotonic() - began, contents(whole)
    moment, halves, left = random.Random(seed), 0, moments
    while left:
        process = started(verb, [*arguments, "-o", f"{broken}/"])
        time.sleep(moment.uniform(0, seconds))
        killed = process.poll() is None
        process.kill()
        process.communicate()
        left -= killed
        if broken.exists():
            found = contents(broken)
            wrong = {name for name in found if found[name] != expected[name]}
            assert not wrong, f"after a kill {wrong} differ from the unbroken run's"
            halves += any(p.suffix == ".tmp" for p in broken.iterdir())
            if "_SUCCESS" in found:
                assert found == expected
                shutil.rmtree(broken)
    run(verb, [*arguments, "-o", f"{broken}/"])
    assert contents(broken) == expected
    assert not [p for p in broken.iterdir() if p.suffix == ".tmp"], "half-written files are left"
    return halves


def both(bundle: Path, folder: Path, moments: int, rows: int, seed: int = 0) -> dict[str, int]:
    """Run `kill_and_resume` for sampling and scoring. Return the kills within a file, for each."""
    sampling = [str(bundle), "-n", str(rows), "--seed", "7", "--shards", "20"]
    scoring = [str(bundle), str(folder / "sampled")]
    return {
        "sample": kill_and_resume(
            "sample", sampling, folder / "sampled", folder / "sampled again", moments, seed
        ),
        "score": kill_and_resume(
            "score", scoring, folder / "scored", folder / "scored again", moments, seed + 1
        ),
    }


def main() -> None:
    """Run `both` and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the result into docs/scaling.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        halves = both(options.bundle, Path(folder), options.moments, options.rows, options.seed)
    lines = [
        f"{measured_here()}: {options.rows:,} rows in 20 files.",
        "",
    ]
    for verb, within in halves.items():
        lines.append(
            f"- `rnvp-{verb}`: {options.moments} kills, {within} of them while a file was being "
            "written; no row was lost and none was there twice, and no file under a final name "
            "was incomplete."
        )
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_measured(PAGE, "tests.scale.killing", text)


if __name__ == "__main__":
    main()
