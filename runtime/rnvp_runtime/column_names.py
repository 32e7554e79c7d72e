"""Columns by name: the error texts for missing and repeated columns."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = ["explain_missing", "repeated_names"]

_SHOWN = 12  # names listed in a message


def explain_missing(wanted: Iterable[str], present: Sequence[str]) -> str | None:
    """The error text if some ``wanted`` names are not ``present``; None if all are.

    For example: ``no column 'prcie' (did you mean 'price'?); there are carat, price``.
    """
    missing = [name for name in wanted if name not in present]
    if not missing:
        return None
    listed = ", ".join(f"{name!r}{_suggestion(name, present)}" for name in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    noun = "column" if len(missing) == 1 else "columns"
    return f"no {noun} {listed}{more}; there are {_shown(present)}"


def repeated_names(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, each once, in order."""
    seen: set[str] = set()
    return list(dict.fromkeys(n for n in names if n in seen or seen.add(n)))  # type: ignore[func-returns-value]


def _suggestion(name: str, present: Sequence[str]) -> str:
    folded = {other.casefold().strip(): other for other in present}
    close = get_close_matches(name.casefold().strip(), folded, n=1)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _shown(names: Sequence[str]) -> str:
    text = ", ".join(name if name.isidentifier() else repr(name) for name in names[:_SHOWN])
    return f"{text} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else text or "none"
