"""One line for the person whose model cannot be converted: where, what, and what could be."""

from rnvp_deploy.errors import ConversionError

__all__ = ["kinds", "refusal"]


def refusal(path: str, reason: str) -> ConversionError:
    """To be raised for the layer at ``path`` of the model (empty: the model itself)."""
    return ConversionError(f"{path or 'the model'}: {reason}")


def kinds(thing: object) -> list[str]:
    """What ``thing`` is, most specific first: ``library.Class`` for each class it derives from.

    No library is imported to find out. The copy of nflows inside glasflow counts as nflows.
    """
    return [f"{_library(cls.__module__)}.{cls.__name__}" for cls in type(thing).__mro__]


def _library(module: str) -> str:
    first, *rest = module.split(".")
    return "nflows" if first == "glasflow" and rest[:1] == ["nflows"] else first
