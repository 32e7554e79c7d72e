"""Count the cases of the fault suite; docs/faults.md states the number.

python -m tests.faults.counting --write
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from tests.pages import write_measured

__all__ = ["PAGE", "count_cases", "sentence"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
SUITE = (
    "tests/faults",
    "tests/hosts/test_closing.py",
    "tests/hosts/test_forks.py",
    "tests/js/test_contract.py",
    "tests/js/test_refusals.py",
    "tests/js/test_signatures.py",
    "tests/runtime/test_publishing.py",
    "tests/runtime/test_tables_damage.py",
)


def count_cases() -> int:
    """The number of tests that pytest collects, slow ones included."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", *SUITE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.search(r"^(\d+) tests collected", done.stdout, re.MULTILINE)
    assert found, done.stdout[-2_000:] + done.stderr[-2_000:]
    return int(found.group(1))


def sentence(cases: int) -> str:
    """The sentence of the page."""
    return f"`tests/faults`, and the fault tests beside it, are {cases:,} cases."


if __name__ == "__main__":
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--write", action="store_true", help="put the count into docs/faults.md")
    given = options.parse_args()
    text = sentence(count_cases())
    print(text)
    if given.write:
        write_measured(PAGE, "tests.faults.counting", text)
