"""Run the tests with one fresh seed after another.

    make explore EXPLORE_MINUTES=60

Each round draws one seed. It sets hypothesis, the global generators and the order of the tests.
The first failure ends the run and prints the command that repeats the round. A round that has
started is finished, so the last one may end after the given minutes.
"""

import argparse
import secrets
import subprocess
import sys
import time

__all__ = ["explore"]


def explore(minutes: float, arguments: list[str]) -> int:
    """Run rounds until the minutes are over or a round fails.

    Args:
        minutes: No round starts after this time.
        arguments: Passed to pytest after the options of the seed.

    Returns:
        The exit status of the last round.
    """
    end = time.monotonic() + 60 * minutes
    rounds = status = 0
    while status == 0 and (rounds == 0 or time.monotonic() < end):
        seed = secrets.randbelow(2**32)
        options = ["-p", "randomly", f"--randomly-seed={seed}", f"--hypothesis-seed={seed}"]
        command = [sys.executable, "-m", "pytest", "-q", *options, *arguments]
        rounds += 1
        print(f"Round {rounds}, seed {seed}", flush=True)
        status = subprocess.run(command, check=False).returncode
    if status:
        print("To repeat this round:", *command, flush=True)
    return status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the tests with fresh seeds.")
    parser.add_argument("--minutes", type=float, default=10.0)
    known, rest = parser.parse_known_args()
    sys.exit(explore(known.minutes, rest))
