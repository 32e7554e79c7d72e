"""The model card: ``README.md`` in the bundle, with a complete program to copy in each language."""

import re

from rnvp_exporters.bundle.templates import environment
from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["programs", "write"]


PLAIN_NAME = re.compile(r"\w[\w.-]*")
"""A folder's name that means itself in a shell, in a URL and in every language's strings."""


def write(manifest: Manifest, name: str) -> str:
    """The card of a bundle whose folder is called ``name``, as Markdown."""
    called = name if PLAIN_NAME.fullmatch(name) else "model.rnvp"
    shown = programs(called, manifest.dim, manifest.context_dim, manifest.dtype)
    if called != name:
        shown = (
            f"Below, the bundle is called `{called}`: rename it, or put its name there.\n\n{shown}"
        )
    return environment().get_template("card.md").render(m=manifest, programs=shown)


def programs(name: str, dim: int, context_dim: int = 0, dtype: str = "float32") -> str:
    """How to use the bundle ``name``: a part of the card, and of ``docs/embedding.md``."""
    template = environment().get_template("programs.md")
    return template.render(name=name, d=dim, c=context_dim, dtype=dtype)
