"""The names that the package exports, and no others."""

import pytest

import rnvp_runtime


def test_the_public_names() -> None:
    """Adding or removing a public name needs a change of this list."""
    assert set(rnvp_runtime.__all__) == {
        "AnomalyColumns", "BundleError", "EngineError", "Explanation", "Flow", "InputError",
        "Manifest", "MissingExtraError", "OutputError", "RnvpError", "SampledRows", "ScoredRows",
        "TableError", "explain", "load", "sample_table", "score_table",
    }  # fmt: skip


@pytest.mark.parametrize("name", rnvp_runtime.__all__)
def test_public_names_are_there(name: str) -> None:
    """The names that are imported lazily are there too."""
    assert getattr(rnvp_runtime, name)


def test_other_names_are_not() -> None:
    """A misspelt name gives an AttributeError."""
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = rnvp_runtime.laod


@pytest.mark.parametrize("name", [n for n in rnvp_runtime.__all__ if n.endswith("Error")])
def test_one_class_catches_them_all(name: str) -> None:
    """Every error that a user can correct is an RnvpError."""
    assert issubclass(getattr(rnvp_runtime, name), rnvp_runtime.RnvpError)
