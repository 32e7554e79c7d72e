"""The page of public names is current, and docstrings describe arguments, result and errors."""

import ast
import inspect
import re
import runpy
import textwrap
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
API = runpy.run_path(str(DOCS / "api.py"))


def public() -> dict[str, Any]:
    """Every public function, class and method, by its full name."""
    found: dict[str, Any] = {}
    for package in API["PACKAGES"]:
        module = import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            found[f"{package}.{name}"] = value
            for member, inner in API["public_members"](value):
                found[f"{package}.{name}.{member}"] = inner
    return found


PUBLIC = public()
CALLED = {
    name: getattr(value, "__func__", value)
    for name, value in PUBLIC.items()
    if not inspect.isclass(value) and not isinstance(value, property)
}


def each(names: Iterable[str]) -> pytest.MarkDecorator:
    """A parametrization with each name."""
    return pytest.mark.parametrize("name", list(names))


def parameters(function: Any) -> list[str]:
    """The names of a function's parameters, without self and cls."""
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def raises(function: Any) -> bool:
    """Whether the function itself contains a raise statement."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    return any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(tree))


def test_the_page_is_up_to_date() -> None:
    """If it fails, run `python docs/api.py`. The diff of the page shows the changed names."""
    assert (DOCS / "api.md").read_text(encoding="utf-8") == API["api_page"]()


@pytest.mark.parametrize("package", API["PACKAGES"])
def test_other_names_are_not_there(package: str) -> None:
    """A misspelt name gives an AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        _ = import_module(package).laod


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_a_docstring(name: str) -> None:
    """A docstring of a base class does not count."""
    own = PUBLIC[name].__doc__
    assert own
    assert own.strip()


@each(CALLED)
def test_a_docstring_says_what_is_given_returned_and_raised(name: str) -> None:
    """It names every parameter, the result, and each error that the function itself raises."""
    function = CALLED[name]
    text = inspect.getdoc(function) or ""
    missing = [
        parameter for parameter in parameters(function) if not re.search(rf"\b{parameter}\b", text)
    ]
    assert not missing, f"the docstring lacks {', '.join(missing)}"
    if len(text.splitlines()) > 1 and inspect.signature(function).return_annotation != "None":
        assert re.search("Returns:\n|Yields:\n|→|: \\(n", text) or "." in text.splitlines()[0]
    if raises(function):
        assert re.search(r"\w+Error", text)


@each(name for name, value in PUBLIC.items() if is_dataclass(value))
def test_a_record_says_what_each_field_is(name: str) -> None:
    """The class's docstring or a comment on the field's line describes the field."""
    text = inspect.getdoc(PUBLIC[name]) or ""
    source = inspect.getsource(PUBLIC[name])
    missing = [
        field.name
        for field in fields(PUBLIC[name])
        if not re.search(rf"^ *{field.name}( \(.*\))?: ", text, re.MULTILINE)
        and not re.search(rf"^    {field.name}: .*#", source, re.MULTILINE)
    ]
    assert not missing
