"""``docs/troubleshooting.md`` quotes the messages that the code gives."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)
SOURCES = ("rnvp_deploy", "exporters/rnvp_exporters", "runtime/rnvp_runtime")


def written(node: ast.AST) -> str:
    """The text of a string expression, with … in place of each inserted value."""
    if isinstance(node, ast.JoinedStr):
        return "".join(written(value) for value in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


@pytest.fixture(scope="module")
def texts() -> str:
    """All texts of the Python and JavaScript sources, with … for each inserted value."""
    found = []
    for source in SOURCES:
        for path in (ROOT / source).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            strings = (n for n in ast.walk(tree) if isinstance(n, ast.JoinedStr | ast.Constant))
            found += [written(node) for node in strings]
    scripts = sorted((ROOT / "runtime/js/src").glob("*.js"))
    found += [re.sub(r"\$\{.*?\}", "…", path.read_text(encoding="utf-8")) for path in scripts]
    return "\n".join(found)


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_in_the_code(texts: str, message: str) -> None:
    """Each part of the message between two … appears in the sources."""
    parts = [part for part in re.split(r"\s*…+\s*", message) if len(part) > 3]
    missing = [part for part in parts if part not in texts]
    assert parts
    assert missing == []


def test_the_page_quotes_messages() -> None:
    """The page has more than 25 quoted messages, so the test above has cases."""
    assert len(QUOTED) > 25
