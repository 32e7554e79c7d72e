"""The table in docs/conversion.md lists the models of the zoo.

To rewrite it: RNVP_WRITE_DOCS=1 pytest tests/rnvp_deploy/conversion/test_table.py
"""

import os
from pathlib import Path

from rnvp_deploy.conversion.recognition import recognisable_scales
from rnvp_deploy.networks import ACTIVATIONS
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES

PAGE = Path(__file__).parents[3] / "docs" / "conversion.md"
BEGIN, END = "<!-- made by tests/rnvp_deploy/conversion/test_table.py -->\n", "<!-- end -->\n"


def table() -> str:
    lines = ["| library | model, layer or option | |", "|---|---|---|"]
    for library in LIBRARIES:
        title = f"{library.name} {library.version}".strip()
        lines += [f"| {title} | {name} | converted |" for name in library.supported]
        lines += [f"| {title} | {name} | refused |" for name in library.refused]
    known = ", ".join(f"`{kind.__name__}`" for kind in recognisable_scales())
    activations = ", ".join(f"`{name}`" for name in ACTIVATIONS)
    return "\n".join(
        [
            *lines,
            "",
            f"Scale functions that are recognised (`rnvp_deploy.scales`): {known}.",
            "",
            f"Supported activations: {activations}.",
            "",
        ]
    )


def test_the_docs_list_the_models_of_the_zoo() -> None:
    """The table in docs/conversion.md equals the one made from the zoo and the known functions."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    expected = before + BEGIN + table() + END + after
    if os.environ.get("RNVP_WRITE_DOCS"):
        PAGE.write_text(expected, encoding="utf-8")
        page = expected
    assert page == expected, "the table is out of date; see the docstring of this file"
