"""Write docs/commands.md from the output of --help: python docs/commands.py."""

from pathlib import Path

import click

from rnvp_runtime.commands.umbrella import GROUPS, rnvp

HEAD = """# Commands

This page contains the `--help` text of each command. Errors are one line on standard error. The
exit code is 1 for an error in data or files, 2 for a usage error, and 130 after Ctrl-C. Progress
is written to standard error, and only if that is a terminal. `rnvp-train` is an exception: without
a terminal it writes about 25 plain lines. `--json` prints one JSON object for scripts.

`rnvp` has all commands as subcommands: `rnvp train` is `rnvp-train`. Set up tab completion
separately for each command. In bash (zsh and fish have the same mechanism):

```sh
eval "$(_RNVP_COMPLETE=bash_source rnvp)"
eval "$(_RNVP_SAMPLE_COMPLETE=bash_source rnvp-sample)"
```
"""


def commands_page() -> str:
    """The page, as Markdown. Its order is that of ``rnvp --help``."""
    subcommands = [command for commands in GROUPS.values() for command in commands]
    parts = [HEAD, _section("rnvp", rnvp)]
    parts += [_section(f"rnvp-{command.name}", command.load()) for command in subcommands]
    return "\n".join(parts)


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, terminal_width=96, max_content_width=96)
    return f"## {name}\n\n```\n{context.get_help()}\n```\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(commands_page(), encoding="utf-8")
