"""Every block of the tutorials and of the README's tour runs, in the order of the page."""

import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks, run_block
from tests.embedding.exported import export

pytestmark = pytest.mark.slow

TUTORIALS = ROOT / "docs" / "tutorials"
FEW_EPOCHS = {"rnvp-train ": "rnvp-train --epochs 2 "}


@pytest.mark.parametrize("name", ["conditions", "anomalies", "own-flow"])
def test_a_tutorial_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    """Training takes two epochs instead of the full number."""
    page = blocks(TUTORIALS / f"{name}.md")
    assert {block.language for block in page} == {"python", "sh"}
    for block in page:
        run_block(block, tmp_path, FEW_EPOCHS)


def test_the_tutorial_of_the_page_runs_on_a_bundle(tmp_path: Path) -> None:
    """Its shell commands run here. tests/js runs its JavaScript, from docs/javascript.md."""
    export(tmp_path / "model.rnvp", dim=2)
    for block in blocks(TUTORIALS / "web-page.md"):
        if block.language == "sh":
            run_block(block, tmp_path)
    assert (tmp_path / "site" / "index.html").is_file()


def tour() -> list[Block]:
    """The blocks of the README below the heading of the tour."""
    readme = ROOT / "README.md"
    heading = (
        readme.read_text(encoding="utf-8")
        .splitlines()
        .index("## A tour of 60 seconds: from a table to a browser")
    )
    return [block for block in blocks(readme) if block.line > heading]


def test_the_tour_of_the_readme_runs(tmp_path: Path) -> None:
    """Each line runs in a folder with the demo data. Training takes 2 seconds instead of 20."""
    shutil.copytree(ROOT / "examples" / "demo", tmp_path / "examples" / "demo")
    found = tour()
    assert [block.language for block in found] == ["sh", "python"]
    for block in found:
        run_block(block, tmp_path, {"--max-seconds 20": "--max-seconds 2"})
    for made in ("model.pt", "model.rnvp", "scored.csv", "samples.csv", "site"):
        assert (tmp_path / made).exists()


def test_other_commands_of_the_readme_are_targets_of_make() -> None:
    """The other commands are make targets and pip installs."""
    other = [block.text for block in blocks(ROOT / "README.md") if block not in tour()]
    assert other[0] == "make demo\nmake test\n"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\ndemo:" in makefile
    assert "\ntest:" in makefile
    assert all(line.startswith("pip install ") for line in other[1].splitlines())
