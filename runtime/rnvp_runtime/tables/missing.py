"""Missing values: the one list of their spellings, for CSV, data frames, Parquet and training."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPELLINGS", "Missing"]

SPELLINGS = frozenset(
    (
        *("", "-", "--", ".", "?", "na", "n/a", "<na>", "none", "null", "nil", "\\n", "nat"),
        *("nan", "-nan", "+nan", "nan(ind)", "-nan(ind)", "1.#ind", "-1.#ind", "1.#qnan"),
        *("-1.#qnan", "#n/a", "#na", "#n/a n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!"),
        *("#null!", "#error!"),
    )
)
"""Spellings of a missing value, in lower case. Case and white space around them do not matter."""


class Missing:
    """What counts as a missing value: `SPELLINGS` and the user's own.

    A spelling that is a number, such as -999, matches that number in any notation, and also numbers
    that are stored as numbers.
    """

    def __init__(self, added: Iterable[str] = ()) -> None:
        self.added = tuple(added)

    @cached_property
    def spellings(self) -> frozenset[str]:
        """All spellings, in lower case."""
        return SPELLINGS | {text.strip().lower() for text in self.added}

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The user's own spellings that are numbers."""
        found = []
        for text in self.added:
            try:
                found.append(float(text))
            except ValueError:
                continue
        return np.array(found)

    def matches(self, text: str) -> bool:
        """Whether ``text`` is a spelling of a missing value."""
        return text.strip().lower() in self.spellings

    def blank(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """``numbers`` with NaN in place of the numbers that stand for a missing value."""
        if not len(self.numbers):
            return numbers
        known = self.numbers.astype(numbers.dtype)  # -999.9 is another number in float32
        return np.where(np.isin(numbers, known), numbers.dtype.type(np.nan), numbers)
