"""Writes docs/commands.md from the commands' own --help: python docs/commands.py"""

from importlib.metadata import entry_points
from pathlib import Path

import click

HEAD = """# Commands

The output of `--help` of each command. All take the same nouns in the same order and report an
error in one line. Exit codes: 1 for an error in data or files, 2 for a usage error, 130 after
Ctrl-C. Progress goes to standard error and only to a terminal; `--json` prints one object for a
script.

Tab completion, for bash (zsh and fish likewise), for each command:

```sh
eval "$(_RNVP_SAMPLE_COMPLETE=bash_source rnvp-sample)"
```
"""
ORDER = ("train", "import", "export", "sample", "score", "verify", "inspect")


def commands_page() -> str:
    """The page, as Markdown."""
    parts = [HEAD]
    for name in (f"rnvp-{verb}" for verb in ORDER):
        (entry,) = entry_points(group="console_scripts", name=name)
        context = click.Context(
            entry.load(), info_name=name, terminal_width=96, max_content_width=96
        )
        parts.append(f"## {name}\n\n```\n{context.get_help()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(commands_page(), encoding="utf-8")
