"""Run the tests of hosts and table dialects, and write their results.

python -m tests.hosts             print the tables
python -m tests.hosts --write     put them into docs/where-it-runs.md
"""

import argparse
import datetime
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.pages import write_measured

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "where-it-runs.md"


@dataclass(frozen=True)
class Section:
    """A table of the page: its tests and the versions that it states."""

    title: str
    tests: tuple[str, ...]
    packages: tuple[str, ...] = ()
    programs: tuple[tuple[str, ...], ...] = ()


SECTIONS = (
    Section(
        "Servers and processes",
        ("tests/hosts/test_servers.py", "tests/hosts/test_forks.py"),
        ("gunicorn", "uvicorn", "celery", "onnxruntime"),
    ),
    Section("Execution providers", ("tests/hosts/test_providers.py",), ("onnxruntime",)),
    Section("Files and names", ("tests/hosts/test_side_effects.py",), ("onnxruntime",)),
    Section(
        "Static hosts and content security policies",
        ("tests/js/test_static_hosts.py", "tests/js/test_policies.py"),
        programs=(("nginx", "-v"), ("chromium", "--version")),
    ),
    Section(
        "Tables: where they come from",
        ("tests/runtime/test_tables_sources.py", "tests/runtime/test_tables.py"),
        ("pyarrow", "pandas", "polars"),
    ),
    Section(
        "Tables: dialects, missing values and damage",
        (
            "tests/runtime/test_tables_csv.py",
            "tests/runtime/test_tables_missing.py",
            "tests/runtime/test_tables_damage.py",
        ),
        ("pyarrow",),
    ),
)


@dataclass
class Results:
    """A pytest plugin that counts the outcomes of each test function, in the order of the files."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one case."""
        if report.when != "call" and report.outcome == "passed":
            return
        function = report.nodeid.split("::")[-1].split("[")[0]
        counts = self.counts.setdefault(function, {})
        counts[report.outcome] = counts.get(report.outcome, 0) + 1
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[function] = report.longrepr[2].removeprefix("Skipped: ")

    def rows(self) -> Iterator[str]:
        """Yield a row of the table for each test function."""
        for function, counts in self.counts.items():
            sentence = function.removeprefix("test_").replace("_", " ").capitalize()
            if counts.get("failed"):
                word = "**fails**"
            elif counts.get("passed"):
                word = "passes"
            else:
                word = f"not run: {self.reasons.get(function, '')}"
            yield f"| {sentence} | {sum(counts.values())} | {word} |"


def stated(section: Section) -> str:
    """The versions with which the tests of a section ran."""
    found = []
    for package in section.packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    for program in section.programs:
        if shutil.which(program[0]):
            done = subprocess.run(program, capture_output=True, text=True, check=False)
            found.append((done.stdout + done.stderr).strip().splitlines()[0])
        else:
            found.append(f"no {program[0]}")
    return ", ".join(found)


def run(section: Section) -> str:
    """Run the tests of a section and return its table."""
    results = Results()
    pytest.main([*(str(ROOT / test) for test in section.tests), "-q", "-m", ""], [results])
    head = ["", f"### {section.title}", "", f"With {stated(section)}.", ""]
    return "\n".join([*head, "| what | cases | result |", "|---|---|---|", *results.rows()])


def main() -> None:
    """Run the command that the module's docstring describes."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tests.hosts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="into docs/where-it-runs.md")
    options = parser.parse_args()
    tables = [run(section) for section in SECTIONS]
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    text = "\n".join([f"Measured on {datetime.date.today()}, {where}.", *tables])
    print(text)
    if options.write:
        write_measured(PAGE, "tests.hosts", text)


if __name__ == "__main__":
    main()
