"""``--missing``, which every command that reads a table has."""

import click

__all__ = ["missing_option"]

missing_option = click.option(
    "--missing",
    metavar="TEXT",
    multiple=True,
    help="Text or number that stands for a missing value, beside NA and NULL. Repeatable.",
)
