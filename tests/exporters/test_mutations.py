"""A bundle with a wrong graph and correct hashes does not verify."""

from pathlib import Path

import pytest

from tests.exporters.mutations import FLOWS, SMALL, export, tally
from tests.flows import lively
from tests.matrix import in_ci


def test_every_visible_change_of_a_graph_is_found(tmp_path: Path) -> None:
    """Verification finds each change that moves an output by more than twice eager's error."""
    counts = tally(export(lively(SMALL, spread=0.04), tmp_path / "model.rnvp"), most=6)
    assert sum(count.visible for count in counts.values()) > 20
    missed = {kind: c.visible - c.visible_found for kind, c in counts.items()}
    assert not any(missed.values()), missed


IN_CI = ("conditional", "linear", "exp scale")


@pytest.mark.slow
@pytest.mark.parametrize("name", in_ci(FLOWS, IN_CI))
def test_every_visible_change_is_found_in_bundles_of_every_kind(name: str, tmp_path: Path) -> None:
    """This tries four places of each kind; `python -m tests.exporters.mutations` tries all."""
    counts = tally(export(lively(FLOWS[name], spread=0.04), tmp_path / "model.rnvp"), most=4)
    missed = {kind: c.visible - c.visible_found for kind, c in counts.items()}
    assert not any(missed.values()), missed
