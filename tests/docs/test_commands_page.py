"""The page of commands agrees with the help of the commands."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    """If it fails, run `python docs/commands.py`."""
    page = runpy.run_path(str(DOCS / "commands.py"))["commands_page"]()
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == page
