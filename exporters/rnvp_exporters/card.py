"""The model card: ``README.md`` in the bundle, with code to copy."""

from rnvp_exporters.templates import environment
from rnvp_runtime.manifest import Manifest

__all__ = ["write"]


def write(manifest: Manifest, name: str) -> str:
    """The card of a bundle whose folder is called ``name``, as Markdown."""
    template = environment().get_template("card.md")
    context_argument = ", context=c" if manifest.context_dim else ""
    return template.render(m=manifest, name=name, context_argument=context_argument)
