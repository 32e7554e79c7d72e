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
    """The text of a string expression, with … for what it inserts."""
    if isinstance(node, ast.JoinedStr):
        return "".join(written(value) for value in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


@pytest.fixture(scope="module")
def texts() -> str:
    """Every text in the Python sources, and the JavaScript sources as they are."""
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
    """The parts between the dots, each as the code writes it."""
    parts = [part for part in re.split(r"\s*…+\s*", message) if len(part) > 3]
    missing = [part for part in parts if part not in texts]
    assert parts
    assert missing == []


def test_the_page_quotes_messages() -> None:
    """So that the test above tests something."""
    assert len(QUOTED) > 25
