"""The number of cases in docs/faults.md is correct."""

import pytest

from tests.faults.counting import PAGE, count_cases, sentence


@pytest.mark.slow
def test_the_page_states_how_many_cases_there_are() -> None:
    """If it fails, run ``python -m tests.faults.counting --write``."""
    assert sentence(count_cases()) in PAGE.read_text(encoding="utf-8")
