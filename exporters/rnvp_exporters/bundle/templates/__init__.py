"""The templates of the model card and of the report."""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rnvp_runtime.bundle.tensors import TensorSpec
from rnvp_runtime.terminal.printable import printable

__all__ = ["environment", "markdown"]


def environment() -> Environment:
    """The templates of this folder.

    HTML is escaped, control characters are shown as escapes, and a missing name is an error.
    """
    loader = PackageLoader("rnvp_exporters.bundle", "templates")
    made = Environment(
        loader=loader,
        autoescape=select_autoescape(["html"]),
        finalize=_shown,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made.filters["tensor"] = _tensor
    made.filters["markdown"] = markdown
    return made


def _shown(value: Any) -> Any:
    """A value as it is put into a template; text that was made here is Markup and stays."""
    if type(value) is not str:
        return value
    return "".join(c if c in "\n\t" else printable(c) for c in value)


def markdown(text: str) -> str:
    r"""Text from outside as Markdown that shows it: no markup, HTML, link, formula or line break.

    >>> markdown("a_b <b> [x](javascript:y) $z$")
    'a_b &lt;b&gt; \\[x\\]\\(javascript:y\\) \\$z\\$'
    """
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"[\\`*\[\]()#|~$!{}]|(?<![a-zA-Z0-9])_|_(?![a-zA-Z0-9])", r"\\\g<0>", text)
    return text.replace("://", "&#58;//").replace("@", "&#64;")


def _tensor(spec: TensorSpec) -> str:
    shape = ", ".join(str(size) for size in spec.shape)
    return f"`{spec.name}` {spec.dtype} ({shape})" if spec.shape else f"`{spec.name}` {spec.dtype}"
