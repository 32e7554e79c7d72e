"""``rnvp``: every command of the distribution as a subcommand, ``rnvp train`` for ``rnvp-train``.

A subcommand is imported when it is run, so that ``rnvp --help`` and tab completion need neither
numpy nor PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from rnvp_runtime.standard_streams import prepare_streams

__all__ = ["GROUPS", "Subcommand", "rnvp"]


@dataclass(frozen=True)
class Subcommand:
    """A command, and what ``rnvp --help`` says about it without importing it."""

    name: str
    target: str  # "module:function"
    help: str

    def load(self) -> click.Command:
        """The command, imported now."""
        module, _, function = self.target.partition(":")
        found: click.Command = getattr(import_module(module), function)
        return found


GROUPS = {
    "Make a flow": (
        Subcommand(
            "train", "rnvp_deploy.commands.train:train", "Train a flow on a table: a checkpoint."
        ),
        Subcommand(
            "import",
            "rnvp_deploy.commands.import_:import_",
            "Convert a flow of another library: a checkpoint.",
        ),
        Subcommand(
            "export",
            "rnvp_exporters.commands.export:export",
            "Export a checkpoint to a bundle, which needs no PyTorch.",
        ),
    ),
    "Use a bundle": (
        Subcommand("sample", "rnvp_runtime.commands.sample:sample", "Draw rows into a table."),
        Subcommand(
            "score", "rnvp_runtime.commands.score:score", "Add log_prob to each row of a table."
        ),
        Subcommand(
            "web", "rnvp_exporters.commands.web:web", "Write a web page that shows the flow."
        ),
        Subcommand("serve", "rnvp_runtime.commands.serve:serve", "Serve the flow over HTTP."),
    ),
    "Look at a bundle": (
        Subcommand(
            "inspect", "rnvp_runtime.commands.inspect:inspect", "Show what a bundle contains."
        ),
        Subcommand(
            "verify",
            "rnvp_runtime.commands.verify:verify",
            "Check a bundle's files and its numbers on this machine.",
        ),
        Subcommand(
            "compare",
            "rnvp_runtime.commands.compare:compare",
            "Show what differs between two bundles, also on a table.",
        ),
    ),
}
"""Heading -> the subcommands below it, in the order of use."""


class _LazyGroup(click.Group):
    """A group whose subcommands are imported when they are run."""

    def main(self, *args: Any, **options: Any) -> Any:
        prepare_streams()
        return super().main(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [command.name for command in _all()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for command in _all():
            if command.name == cmd_name:
                return command.load()
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0].startswith("rnvp-"):  # the command's own name
            args = [args[0].removeprefix("rnvp-"), *args[1:]]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                formatter.write_dl([(command.name, command.help) for command in commands])

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> "list[click.shell_completion.CompletionItem]":
        from click.shell_completion import CompletionItem

        options = click.Command.shell_complete(self, ctx, incomplete)
        names = [c for c in _all() if c.name.startswith(incomplete)]
        return [*(CompletionItem(c.name, help=c.help) for c in names), *options]


def _all() -> Sequence[Subcommand]:
    return [command for commands in GROUPS.values() for command in commands]


@click.group(cls=_LazyGroup)
@click.version_option(package_name="rnvp-deploy")
def rnvp() -> None:
    """Real NVP flows: train, export, and use them without PyTorch.

    Each subcommand is also a command of its own: rnvp train is rnvp-train. See
    rnvp COMMAND --help.

    \b
    Example:
      rnvp train data.csv -o model.pt
      rnvp export model.pt
      rnvp sample model.rnvp -n 1000 -o samples.csv
    """
