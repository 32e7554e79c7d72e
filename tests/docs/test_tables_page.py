"""The page of tables agrees with how each dialect is read, with pyarrow and without."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    """If it fails, run `python docs/tables.py`."""
    page = runpy.run_path(str(DOCS / "tables.py"))["tables_page"]()
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == page
