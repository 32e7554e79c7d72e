"""The documentation states the limits of a bundle; its operators are safe to run."""

import re
from pathlib import Path

import onnx
import pytest

from rnvp_runtime.bundle import limits
from rnvp_runtime.bundle.onnx_structure import OPERATORS

DOCS = Path(__file__).parents[2] / "docs" / "bundle.md"


def test_the_limits_are_in_the_docs() -> None:
    """The table in docs/bundle.md holds each number of `limits`."""
    page = DOCS.read_text(encoding="utf-8")
    table = page[page.index("| limit | value |") : page.index("What is tried against")]
    rows = re.findall(r"^\| .* \| ([\d,]+)", table, re.MULTILINE)
    documented = {int(number.replace(",", "")) for number in rows}
    assert documented == {getattr(limits, name) for name in limits.__all__}


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_each_operator_is_harmless(operator: str) -> None:
    """Each operator is part of ONNX, gives equal results on each run and has no subgraph."""
    schema = onnx.defs.get_schema(operator, 18)
    kinds = {attribute.type for attribute in schema.attributes.values()}
    assert onnx.defs.OpSchema.AttrType.GRAPH not in kinds
    assert "Random" not in operator
