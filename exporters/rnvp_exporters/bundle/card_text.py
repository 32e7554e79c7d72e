"""Additions to the model card: licence, tags and sections, from the file of ``--card``.

YAML, where every key but ``license`` and ``tags`` is a section::

    license: mit
    tags: [physics, calorimeter]
    intended_use: |
      Simulated showers for tests of the reconstruction.
    limitations: Energies of 10 to 200 GeV only.

or Markdown, with such a head between two lines ``---`` for licence and tags, and the sections as
headings of the second level. Values are text, blocks of text and lists of text; the rest of YAML is
refused. The text is shown as text: markup in it has no effect.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from rnvp_exporters.errors import ExportError

__all__ = ["SECTIONS", "CardText", "read_card_text"]

SECTIONS = {
    "intended_use": "Intended use",
    "limitations": "Limitations",
    "training_data": "Training data",
    "authors": "Authors",
    "contact": "Contact",
}
"""Key -> the section's heading."""

MAX_BYTES = 65_536

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")
)
"""Types of YAML whose text is read as it is written."""


@dataclass(frozen=True)
class CardText:
    """The additions to a card.

    license:   an SPDX identifier in lower case, as model hubs have it, such as ``mit``; or empty.
    tags:      words, beside those that every card has.
    sections:  pairs of heading and text.

    Raises:
        ExportError: the licence or a tag is not one word of letters, digits and ``.+_-``.
    """

    license: str = ""
    tags: tuple[str, ...] = ()
    sections: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for what, word in (("license", self.license), *(("tag", tag) for tag in self.tags)):
            if (what == "tag" or word) and not _WORD.fullmatch(word):
                raise ExportError(
                    f"the card's {what} is {word!r}; expected one word of letters, digits and "
                    ".+_-, such as mit or apache-2.0"
                )


def read_card_text(path: str | os.PathLike[str]) -> CardText:
    """The additions in the file at ``path``: Markdown if its suffix is ``.md``, else YAML.

    Raises:
        ExportError: it cannot be read, or holds an unknown key or heading; the message names the
            line.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ExportError(f"the card {path} cannot be read: {reason}") from None
    if len(content) > MAX_BYTES:
        raise ExportError(f"the card {path} is longer than {MAX_BYTES:,} bytes; shorten it")
    try:
        if path.suffix.lower() in (".md", ".markdown"):
            return _from_markdown(text.splitlines())
        return _from_entries(_entries(text))
    except _LineError as error:
        raise ExportError(f"the card {path}, line {error.number}: {error.reason}") from None


class _LineError(Exception):
    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number, self.reason = number, reason


Entry = tuple[int, str, str | list[str]]
"""The number of the line, the key, and its value."""


def _from_markdown(lines: Sequence[str]) -> CardText:
    entries: list[Entry] = []
    start = 0
    if lines and lines[0].strip() == "---":
        ends = [i for i, line in enumerate(lines) if i and line.strip() == "---"]
        if not ends:
            raise _LineError(1, "the head does not end: expected a second line ---")
        entries, start = _entries("\n".join(lines[1 : ends[0]]), 2), ends[0] + 1
    keys = {title.lower(): key for key, title in SECTIONS.items()}
    body: list[str] | None = None
    for number, line in enumerate(lines[start:], start + 1):
        if heading := re.fullmatch(r"##\s+(.*?)\s*#*", line):
            key = keys.get(heading[1].lower())
            if key is None:
                raise _LineError(number, f"found the heading {heading[1]!r}; {_expected()}")
            body = []
            entries.append((number, key, body))
        elif body is not None:
            body.append(line)
        elif line.strip() and not line.startswith("# "):  # the title is that of the flow
            raise _LineError(number, f"found text before the first heading; {_expected()}")
    return _from_entries(
        [(at, key, value if key == "tags" else _joined(value)) for at, key, value in entries]
    )


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value).strip()


def _from_entries(entries: Sequence[Entry]) -> CardText:
    found: dict[str, str | list[str]] = {}
    for number, key, value in entries:
        if key in found:
            raise _LineError(number, f"{key} is given twice; keep one")
        if key not in ("license", "tags", *SECTIONS):
            raise _LineError(number, f"found the key {key!r}; expected license, tags, {_keys()}")
        if isinstance(value, list) and key == "license":
            raise _LineError(number, "license is a list; expected one word, such as mit")
        found[key] = value
    tags = found.get("tags", [])
    return CardText(
        license=str(found.get("license", "")),
        tags=tuple(tags.split() if isinstance(tags, str) else tags),
        sections=tuple(
            (title, text if isinstance(text, str) else "\n".join(f"- {item}" for item in text))
            for key, title in SECTIONS.items()
            if (text := found.get(key))
        ),
    )


def _entries(text: str, line: int = 1) -> list[Entry]:
    """The keys of a YAML text, whose first line is ``line``, and the value of each."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark.line if error.problem_mark else 0
        raise _LineError(line + at, f"it is not YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        at = text.count("\n", 0, error.position)
        raise _LineError(line + at, f"it is not YAML: {error.reason}") from None
    except RecursionError:
        raise _LineError(line, "it is nested too deep for a card") from None
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        found = _source(text, root)
        raise _LineError(
            line + root.start_mark.line, f"found {found!r}; expected a key, as in license: mit"
        )
    return [
        (line + key.start_mark.line, _scalar(text, key, line), _value(text, value, line))
        for key, value in root.value
    ]


def _value(text: str, node: yaml.Node, line: int) -> str | list[str]:
    if isinstance(node, yaml.SequenceNode):
        return [_scalar(text, item, line) for item in node.value]
    return _scalar(text, node, line)


def _scalar(text: str, node: yaml.Node, line: int) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in PLAIN_TAGS:
        found = _source(text, node)
        raise _LineError(
            line + node.start_mark.line, f"{found!r} is a part of YAML that a card does not use"
        )
    return str(node.value).strip()


def _source(text: str, node: yaml.Node) -> str:
    return text[node.start_mark.index : node.end_mark.index].strip()[:40]


def _keys() -> str:
    return ", ".join(SECTIONS)


def _expected() -> str:
    return "expected ## " + ", ## ".join(SECTIONS.values())
