"""Writes docs/api.md from the public names of the three packages.

python docs/api.py
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

HEAD = """# Public names

All that the packages promise. Other names may change without notice. Each name's docstring says
the shapes, dtypes, units and errors: `help(rnvp_deploy.fit)`.
"""
PACKAGES = ("rnvp_deploy", "rnvp_exporters", "rnvp_runtime")


def api_page() -> str:
    """The page, as Markdown."""
    parts = [HEAD]
    for package in PACKAGES:
        module = import_module(package)
        rows = ["| name | what it is |", "|---|---|", *_rows(module), ""]
        parts += [f"## {package}\n", f"{_summary(module)}\n", *rows]
    return "\n".join(parts)


def _rows(module: Any) -> list[str]:
    rows = []
    for name in sorted(module.__all__, key=str.lower):
        found = getattr(module, name)
        rows.append(_row(name + _parameters(found), found))
        rows += [
            _row(f"{name}.{member}{_parameters(value)}", value)
            for member, value in public_members(found)
        ]
    return rows


def _row(title: str, found: Any) -> str:
    return f"| `{title}` | {_summary(found)} |"


def public_members(found: Any) -> list[tuple[str, Any]]:
    """The methods and properties that a public class defines itself, by name."""
    if not inspect.isclass(found) or issubclass(found, BaseException):
        return []
    return sorted(
        (name, value)
        for name, value in vars(found).items()
        if not name.startswith("_")
        and isinstance(value, property | classmethod | staticmethod | type(api_page))
    )


def _parameters(found: Any) -> str:
    """The names of the parameters, an optional one with `=…`; nothing for what is not called."""
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    if isinstance(found, property) or (inspect.isclass(found) and issubclass(found, BaseException)):
        return ""
    parts = []
    for parameter in inspect.signature(found).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        given = parameter.default is parameter.empty
        parts.append(parameter.name if given else f"{parameter.name}=…")
    return f"({', '.join(parts)})"


def _summary(found: Any) -> str:
    """The first sentence or line of the docstring, on one line."""
    paragraph = (inspect.getdoc(found) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", r"\|")


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(api_page(), encoding="utf-8")
