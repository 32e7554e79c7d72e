"""report.html is one page without scripts that shows any flow, and says what it shows."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest

import rnvp_exporters
from rnvp_exporters.bundle import report
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.native import is_available
from tests.flows import CONFIGS, lively


@cache
def manifest() -> Manifest:
    """A manifest with its parity, whose flow's name asks to be escaped."""
    with TemporaryDirectory() as folder:
        flow = lively(CONFIGS["two coordinates"])
        written = rnvp_exporters.export(flow, Path(folder) / "m.rnvp", formats=("onnx",))
    return replace(written, flow=replace(written.flow, description="a <b>flow</b>"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("one coordinate, given", "samples, given the mean of each condition."),
        ("two coordinates", "and the log-density down to 8 nats"),
        ("gated", "samples of the first 4 columns, given"),
        ("wide", "samples of the first 4 columns."),
    ],
)
def test_there_is_a_picture_of_any_flow_with_words_for_it(name: str, shown: str) -> None:
    """One column a histogram, two with the density, more pair by pair."""
    page = report.write(manifest(), lively(CONFIGS[name]), "m.rnvp")
    assert "<svg" in page
    assert page.count(shown) == 2  # the caption, and the same for a screen reader


def test_it_is_well_formed_escaped_and_runs_nothing() -> None:
    """Nothing in it comes from elsewhere or is a script."""
    page = report.write(manifest(), lively(CONFIGS["two coordinates"]), "m.rnvp")
    assert "a &lt;b&gt;flow&lt;/b&gt;" in page
    assert "<script" not in page
    assert 'src="http' not in page
    svg = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    ElementTree.fromstring(svg)


def test_every_outputs_parity_has_its_line() -> None:
    """All that the manifest measured."""
    page = report.write(manifest(), lively(CONFIGS["two coordinates"]), "m.rnvp")
    assert page.count('class="bar"') == len(manifest().parity) == 8 * (1 + is_available())
