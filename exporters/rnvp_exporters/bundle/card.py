"""The model card: ``README.md`` in the bundle, with a complete program to copy in each language."""

import re

from rnvp_exporters.bundle.card_text import CardText
from rnvp_exporters.bundle.templates import environment, markdown
from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["programs", "programs_not_run", "write"]

EMPTY = CardText()

PLAIN_NAME = re.compile(r"\w[\w.-]*")
"""A folder's name without special characters of a shell, a URL or a string in any language."""

TAGS = ("normalizing-flow", "real-nvp", "density-estimation", "tabular", "onnx", "onnxruntime")
"""Tags by which model hubs find every bundle."""


def write(manifest: Manifest, name: str, text: CardText = EMPTY) -> str:
    """The card of a bundle whose folder is called ``name``, as Markdown with a head in YAML.

    Args:
        manifest: what is said of the flow.
        name: of the bundle's folder. A name with special characters is not used.
        text: licence, tags and sections of the flow's owner.
    """
    called = name if PLAIN_NAME.fullmatch(name) else "model.rnvp"
    shown = programs(called, manifest.dim, manifest.context_dim, manifest.dtype)
    if called != name:
        shown = (
            f"Below, the bundle is called `{called}`: rename it, or put its name there.\n\n{shown}"
        )
    return (
        environment()
        .get_template("card.md")
        .render(
            m=manifest,
            programs=shown,
            text=text,
            tags=dict.fromkeys((*TAGS, *text.tags)),
            sections=[(title, _lines(body)) for title, body in text.sections],
        )
    )


def _lines(text: str) -> list[str]:
    """The lines of a section: paragraphs and bullets stay, all other markup is shown as it is."""
    lines = []
    for line in text.splitlines():
        words = line.strip()
        bullet = "- " if words.startswith(("- ", "* ")) else ""
        shown = markdown(words[len(bullet) :].strip())
        # At the start of a line these would begin a list, a rule or an underlined heading.
        lines.append(bullet + re.sub(r"^[-+=]", r"\\\g<0>", shown))
    return lines


def programs(name: str, dim: int, context_dim: int = 0, dtype: str = "float32") -> str:
    """How to use the bundle ``name``: a part of the card, and of ``docs/embedding.md``."""
    template = environment().get_template("programs.md")
    return template.render(name=name, d=dim, c=context_dim, dtype=dtype)


def programs_not_run(name: str, dim: int, context_dim: int = 0, dtype: str = "float32") -> str:
    """The same in languages that the tests do not run: a part of ``docs/embedding.md`` alone."""
    template = environment().get_template("programs_not_run.md")
    return template.render(name=name, d=dim, c=context_dim, dtype=dtype)
