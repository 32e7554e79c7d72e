"""The file of ``--card``: what is read from it, and what the card shows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rnvp_exporters import ExportError
from rnvp_exporters.bundle import card
from rnvp_exporters.bundle.card_text import SECTIONS, CardText, read_card_text
from rnvp_runtime import Manifest

YAML = """\
# the card of the showers
license: apache-2.0
tags: [physics, "calorimeter"]
intended_use: |
  Tests of the reconstruction.

  Not for physics results.
limitations: Energies of 10
  to 200 GeV only.
authors:
  - Ada
  - Emmy
"""
MARKDOWN = """\
---
license: apache-2.0
tags:
- physics
- calorimeter
---
# Showers

## Intended use

Tests of the reconstruction.

Not for physics results.

## Limitations
Energies of 10 to 200 GeV only.

## Authors
- Ada
- Emmy
"""
READ = CardText(
    license="apache-2.0",
    tags=("physics", "calorimeter"),
    sections=(
        ("Intended use", "Tests of the reconstruction.\n\nNot for physics results."),
        ("Limitations", "Energies of 10 to 200 GeV only."),
        ("Authors", "- Ada\n- Emmy"),
    ),
)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of ``--card``."""

    def write(content: str | bytes, name: str = "card.yaml") -> Path:
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("name", "content"), [("card.yaml", YAML), ("card.md", MARKDOWN), ("card.yml", "---\n" + YAML)]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_yaml_and_markdown_say_the_same(
    file: Callable[..., Path], name: str, content: str, end: str
) -> None:
    """Both formats give the same licence, tags and sections, with either line end."""
    assert read_card_text(file(content.replace("\n", end), name)) == READ


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("card.yaml", "licence: mit", "line 1: found the key 'licence'; expected license, tags"),
        ("card.yaml", "license: mit\nlicense: mit", "line 2: license is given twice"),
        ("card.yaml", "license: [mit]", "line 1: license is a list"),
        ("card.yaml", "license: mit or so", "expected one word"),
        ("card.yaml", "tags: ['<b>']", "the card's tag is '<b>'"),
        ("card.yaml", "tags: {a: b}", "line 1: '{a: b}' is a part of YAML"),
        ("card.yaml", "license: !!python/object:os.system x", "is a part of YAML"),
        (
            "card.yaml",
            "license: &a mit\ntags: [*b]",
            "line 2: it is not YAML: found undefined alias",
        ),
        ("card.yaml", "tags: [a\nlicense: mit", "line 2: it is not YAML"),
        ("card.yaml", "license: mit\nauthors: a\x1b[2J", "line 2: it is not YAML"),
        ("card.yaml", "tags: " + "[" * 30_000, "line 1: it is nested too deep"),
        ("card.yaml", "tags: [[a]]", "line 1: '[a]' is a part of YAML"),
        ("card.yaml", "[a]: b", "line 1: '[a]' is a part of YAML"),
        ("card.md", "---\nlicense: mit\nname: x\n---\n", "line 3: found the key 'name'"),
        ("card.yaml", "just text", "line 1: found 'just text'; expected a key"),
        ("card.md", "Hello", "line 1: found text before the first heading"),
        ("card.md", "## Metrics", "line 1: found the heading 'Metrics'; expected ## Intended use"),
        ("card.md", "---\nlicense: mit", "line 1: the head does not end"),
        ("card.yaml", b"\xff\xfe", "it is not UTF-8 text"),
        ("card.yaml", "#" * 70_000, "longer than 65,536 bytes"),
    ],
)
def test_an_invalid_file_is_refused(
    file: Callable[..., Path], name: str, content: str | bytes, reason: str
) -> None:
    """The error is one line that says the reason."""
    with pytest.raises(ExportError) as raised:
        read_card_text(file(content, name))
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The error names the path of the missing file."""
    with pytest.raises(ExportError, match=r"none\.md cannot be read: No such file"):
        read_card_text(tmp_path / "none.md")


def test_the_card_has_a_head_that_model_hubs_read(make_bundle: Callable[..., Path]) -> None:
    """The head holds licence, library and tags between lines of dashes; the sections follow."""
    text = card.write(Manifest.read(make_bundle()), "model.rnvp", READ)
    head, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert head.splitlines()[:2] == ["license: apache-2.0", "library_name: rnvp-deploy"]
    tags = [line.removeprefix("- ") for line in head.splitlines()[3:]]
    assert {"normalizing-flow", "onnx", "physics", "calorimeter"} <= set(tags)
    assert body.startswith("\n# ")
    for title, _ in READ.sections:
        assert f"\n## {title}\n\n" in body
    assert "\n- Ada\n- Emmy\n" in body


def test_without_a_file_nothing_is_claimed(make_bundle: Callable[..., Path]) -> None:
    """The card then has no licence and none of the sections of ``--card``."""
    text = card.write(Manifest.read(make_bundle()), "model.rnvp")
    assert text.startswith("---\nlibrary_name: rnvp-deploy\n")
    assert not any(f"## {title}" in text for title in SECTIONS.values())


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "# heading",
        "---",
        "===",
        "- # heading",
        "![](http://host/x.png)",
        "```sh",
        "\x1b[2J",
        "a $x_{$",
    ],
)
def test_text_of_a_section_is_shown_as_text(make_bundle: Callable[..., Path], hostile: str) -> None:
    """Markup in it has no effect, and it does not change the rest of the card."""
    plain = CardText(sections=(("Intended use", "words"),))
    given = CardText(sections=(("Intended use", f"words\n{hostile}\nwords"),))
    manifest = Manifest.read(make_bundle())
    shown = card.write(manifest, "model.rnvp", given)
    section = shown[shown.index("## Intended use") : shown.index("## Parity")]
    for mark in ("<script", "[x](", "\n#", "\n---", "\n===", "\n- #", "![", "```", "\x1b", " $x"):
        assert mark not in section.removeprefix("## Intended use")
    before = card.write(manifest, "model.rnvp", plain)
    assert shown[shown.index("## Parity") :] == before[before.index("## Parity") :]


def test_an_export_writes_what_its_card_says(exported: Path) -> None:
    """The export writes the licence and the sections into the bundle's README.md."""
    text = (exported / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlicense: mit\nlibrary_name: rnvp-deploy\n")
    assert "\n## Intended use\n\nTests.\n" in text
