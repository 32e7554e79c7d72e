"""The page of tables is what reading each dialect gives, with pyarrow and without."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    """Run `python docs/tables.py` after a change to what is read or said."""
    page = runpy.run_path(str(DOCS / "tables.py"))["tables_page"]()
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == page
