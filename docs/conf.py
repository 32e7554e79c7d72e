"""The documentation site, for Sphinx. `make docs` builds it: strictly, and without a network."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

project = "rnvp-deploy"
author = "The rnvp-deploy authors"
copyright = "The rnvp-deploy authors. MIT licence"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say shapes and dtypes, which types do not
autodoc_typehints_format = "short"
add_module_names = False
napoleon_numpy_docstring = False

# No fonts, scripts or images of other hosts: Furo brings its own, and uses the reader's fonts.
html_theme = "furo"
html_title = f"rnvp-deploy {release}"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_copy_source = False
html_favicon = "../examples/web/icon.svg"
html_show_sphinx = False
html_static_path: list[str] = []

# Links of the repository that lead elsewhere in the site.
PAGES = {
    "../SECURITY.md": "security.md",
    "../CHANGELOG.md": "changelog.md",
    "../benchmarks/README.md": "benchmarks.md",
    "../examples/journeys/README.md": "tutorials/index.md",
}
LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def link_in_site(match: re.Match[str]) -> str:
    """A link out of docs/: to the page that the site has for it, else the text alone."""
    text, target, anchor = match[1], match[2], match[3] or ""
    if page := PAGES.get(target):
        return f"[{text}]({page}{anchor})"
    if not (ROOT / "docs" / target).exists():
        return match[0]  # the strict build reports it
    return text


def read_source(app: Any, docname: str, source: list[str]) -> None:
    """Rewrite the links of a page that is written for the repository."""
    if "/" not in docname:
        source[0] = LINK.sub(link_in_site, source[0])


def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written to be read as text; say the same in reStructuredText.

    A list of fields, ``name:   words``, becomes a list, an indented block becomes code, and a bar
    is a bar.
    """
    made: list[str] = []
    in_code = in_field = False
    for i, line in enumerate(lines):
        field = re.match(r"(\w+): {2,}(\S.*)", line)
        if field:
            line = f"- ``{field[1]}``: {field[2]}"
            in_field = True
        elif in_field and line.startswith(" "):
            line = f"  {line.strip()}"
        else:
            in_field = False
        if in_code and line and not line.startswith("    "):
            in_code = False
        if not in_code and _begins_code(lines, i):
            made += ["::", ""]
            in_code = True
        made.append(line if in_code else line.replace("|", r"\|"))
    lines[:] = made


def _begins_code(lines: list[str], i: int) -> bool:
    """Whether a block that is indented by four begins at ``i``, below a paragraph that is not."""
    before = [line for line in lines[:i] if line.strip()]
    return (
        bool(re.match(r" {4}\S", lines[i]))
        and i > 0
        and not lines[i - 1].strip()
        and bool(before)
        and not before[-1].startswith(" ")
        and not before[-1].endswith("::")
    )


def page(app: Any, name: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """What the theme leaves out for people who do not use a mouse or see the page.

    A keyboard can scroll what is wider than the page: code, and tables in their wrappers. A caption
    of the navigation says which level of heading it is.
    """
    body = context.get("body", "").replace("<pre>", '<pre tabindex="0">')
    context["body"] = body.replace(
        '<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'
    )
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(
        ' role="heading"', ' role="heading" aria-level="2"'
    )


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("html-page-context", page, priority=900)  # after the theme
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon's 500
    app.connect("source-read", read_source)
