"""What a person adds to the model card: licence, tags and sections, from the file of ``--card``.

YAML, where every key but ``license`` and ``tags`` is a section::

    license: mit
    tags: [physics, calorimeter]
    intended_use: |
      Simulated showers for tests of the reconstruction.
    limitations: Energies of 10 to 200 GeV only.

or Markdown, with such a head between two lines ``---`` for licence and tags, and the sections as
headings of the second level. Only this part of YAML is read: scalars, blocks of text, and lists of
scalars. The text is shown as text: markup in it has no effect.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
_KEY = re.compile(r"([A-Za-z_]+):(?:\s+(.*))?")


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
    lines = text.splitlines()
    try:
        if path.suffix.lower() in (".md", ".markdown"):
            return _from_markdown(lines)
        return _from_entries(_entries(lines))
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
        entries, start = _entries(lines[: ends[0]], 1), ends[0] + 1
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


def _entries(lines: Sequence[str], start: int = 0) -> list[Entry]:
    """The keys of a YAML text and what stands under each."""
    entries: list[Entry] = []
    i = start
    while i < len(lines):
        number, line = i + 1, lines[i]
        i += 1
        if not line.strip() or line.lstrip().startswith("#") or line.strip() == "---":
            continue
        found = _KEY.fullmatch(line.rstrip())
        if not found:
            raise _LineError(
                number, f"found {line.strip()[:40]!r}; expected a key, as in license: mit"
            )
        value = (found[2] or "").strip()
        under = []
        while i < len(lines) and (not lines[i].strip() or lines[i][0] in " \t-"):
            under.append(lines[i].strip())
            i += 1
        entries.append((number, found[1], _value(number, value, under)))
    return entries


def _value(number: int, value: str, under: list[str]) -> str | list[str]:
    text = "\n".join(under).strip()
    if value in ("|", ">", "|-", ">-"):
        return text
    if value.startswith("[") and value.endswith("]"):
        return [_scalar(item) for item in value[1:-1].split(",") if item.strip()]
    if value[:1] in tuple("[{&*!|>%@`"):
        raise _LineError(number, f"{value[:20]!r} is a part of YAML that a card does not use")
    if value:
        return _scalar(" ".join([value, *filter(None, under)]))
    if not text.startswith("- "):
        return text
    return [_scalar(item.removeprefix("- ")) for item in under if item]


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _keys() -> str:
    return ", ".join(SECTIONS)


def _expected() -> str:
    return "expected ## " + ", ## ".join(SECTIONS.values())
