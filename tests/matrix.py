"""Of a costly matrix, the slow tests run one of each kind; ``make test-matrix`` runs the whole."""

from collections.abc import Container, Iterable
from typing import Any

import pytest

__all__ = ["in_ci"]


def in_ci(values: Iterable[Any], chosen: Container[Any]) -> list[Any]:
    """All values as parameters of a test; those that are not chosen have the mark ``matrix``."""
    return [
        pytest.param(value, marks=() if value in chosen else pytest.mark.matrix) for value in values
    ]
