"""What pyproject.toml claims about versions is what the tests install and the page says."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CLAIMED = [
    Requirement(line)
    for line in [
        *PROJECT["dependencies"],
        *EXTRAS["export"],
        *EXTRAS["tables"],
        *EXTRAS["openvino"],
    ]
]


def pinned(file: str) -> dict[str, Version]:
    """The versions of a constraints file, by name."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name: Version(version) for name, version in pairs}


@pytest.mark.parametrize("requirement", CLAIMED, ids=lambda requirement: requirement.name)
def test_the_oldest_version_claimed_is_the_one_tested(requirement: Requirement) -> None:
    """A lower bound in pyproject.toml is a version in constraints-oldest.txt."""
    (specifier,) = requirement.specifier
    assert specifier.operator == ">="
    assert Version(specifier.version) == pinned("constraints-oldest.txt")[requirement.name]


@pytest.mark.parametrize("requirement", CLAIMED, ids=lambda requirement: requirement.name)
def test_the_versions_of_every_day_are_allowed(requirement: Requirement) -> None:
    """A version in constraints.txt satisfies pyproject.toml."""
    everyday = pinned("constraints.txt")
    if requirement.name in everyday:
        assert everyday[requirement.name] in requirement.specifier


def test_one_version_everywhere() -> None:
    """The wheel, the npm package and the citation have one version; a candidate too."""
    found = runpy.run_path(str(ROOT / ".github" / "check_tag.py"))["versions"]()
    assert set(found.values()) == {PROJECT["version"]}


def test_hosted_ci_runs_each_python_that_is_claimed() -> None:
    """The oldest is requires-python's, and each classifier is run."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    versions = re.findall(r'"(3\.\d+)"', workflow)
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert named == sorted(set(versions), key=Version)
    assert PROJECT["requires-python"] == f">={named[0]}"
