"""Column names of a foreign bundle have no effect on terminal, card or report."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from rnvp_exporters import report
from rnvp_exporters.bundle import card
from rnvp_runtime import Manifest
from rnvp_runtime.commands.inspect import inspect
from rnvp_runtime.commands.score import score
from tests.flows import CONFIGS, lively

NAMES = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "\n# heading",
    "$x_{$",
    "`rm -rf`",
    "![](http://host/x.png)",
    "\x1b]0;title\x07\x1b[2J",
    "\x9b31m",
    "\u202egnp.exe",
    "a|b",
]


def with_columns(bundle: Path, *columns: str) -> Manifest:
    """Write these column names into the manifest of ``bundle``."""
    found = Manifest.read(bundle)
    flow = dataclasses.replace(found.flow, description=f"a flow of {columns[0]}")
    manifest = dataclasses.replace(found, columns=columns, flow=flow)
    (bundle / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return manifest


@pytest.mark.parametrize("name", NAMES)
def test_a_terminal_shows_every_name(make_bundle: Callable[..., Path], name: str) -> None:
    """No control character of a bundle or table is printed, in output or in errors."""
    bundle = make_bundle()
    with_columns(bundle, name, "x1")
    table = bundle.parent / "table.csv"
    table.write_text("\x1b[2Jx0,x1\n1,2\n")
    for command, arguments in [
        (inspect, [str(bundle)]),
        (inspect, [str(bundle), "--json"]),
        (score, [str(bundle), str(table)]),
    ]:
        done = CliRunner().invoke(command, arguments)
        assert all(c.isprintable() or c == "\n" for c in done.output), repr(done.output)
        assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_shows_every_name(make_bundle: Callable[..., Path], name: str) -> None:
    """A name is text: it makes no HTML, link, image, heading, code, formula or table cell."""
    text = card.write(with_columns(make_bundle(), name, "x1"), "model.rnvp")
    above = text[: text.index("\n| graph")]
    assert not re.search(r"<[a-z/!]", above)
    assert not re.search(r"(?<!\\)[\[\]`$|](?!0123456789abcdef`)", re.sub(r"`[^`]*`", "", above))
    assert len(re.findall("^#", above, re.MULTILINE)) == 1
    assert "http://" not in above
    assert all(c.isprintable() or c in "\n\t" for c in text)


@pytest.mark.parametrize(
    "name", ["x; touch P; #.rnvp", '".rnvp', "$(id).rnvp", "a b.rnvp", "-n.rnvp", "`id`.rnvp"]
)
def test_a_folders_name_is_not_run(make_bundle: Callable[..., Path], name: str) -> None:
    """The programs of the card use another name for the bundle, and the card says so."""
    text = card.write(Manifest.read(make_bundle()), name)
    assert name not in text
    assert "Below, the bundle is called `model.rnvp`" in text
    assert "rnvp-verify model.rnvp" in text


def test_the_report_shows_every_name(make_bundle: Callable[..., Path]) -> None:
    """Names are text in the page and in the picture, which draws no formula."""
    flow = lively(CONFIGS["two coordinates"])
    for i, pair in enumerate(zip(NAMES[::2], NAMES[1::2], strict=True)):
        flow.columns = pair
        page = report.write(with_columns(make_bundle(f"{i}.rnvp"), *pair), flow, pair[0])
        svg = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
        ElementTree.fromstring(svg)
        assert "<script" not in page
        assert all(c.isprintable() or c in "\n\t" for c in page)
