"""Column names as an option's value."""

import csv

import click

__all__ = ["column_names"]


def column_names(value: str) -> tuple[str, ...]:
    """``carat, depth`` → ("carat", "depth"); a name with a comma in it is quoted, as in CSV."""
    names = tuple(name.strip() for name in next(csv.reader([value], skipinitialspace=True), []))
    if not names or not all(names) or len(set(names)) != len(names):
        raise click.BadParameter(f"{value!r} is no list of different names, such as carat,depth")
    return names
