"""The command lines that follow a card or an export."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rnvp_runtime import Manifest
from rnvp_runtime.bundle.manifest import ColumnReference
from rnvp_runtime.terminal.next_commands import next_commands


def test_paths_are_quoted_for_the_shell(bundle: Path) -> None:
    """A pasted path with a space is one argument."""
    lines = next_commands(Manifest.read(bundle), "my flows/it's.rnvp")
    assert [shlex.split(line)[1] for line in lines] == ["my flows/it's.rnvp"] * 3


def test_a_conditional_flow_is_given_context(conditional_bundle: Path) -> None:
    """The sample line has one number for each context column."""
    line = next_commands(Manifest.read(conditional_bundle), "model.rnvp")[1]
    assert line == "rnvp-sample model.rnvp -n 1000 --seed 7 --context 0 -o samples.csv"


@pytest.mark.parametrize(
    ("low", "median", "high", "written"),
    [
        (10.2, 104.9437, 199.8, "104.9"),
        (0.0014, 0.48031, 0.999, "0.48"),
        (2460000.25, 2460000.5012, 2460000.75, "2460000.501"),
        (-3e5, 12345.6, 4e5, "12000"),
        (5.0, 5.0, 5.0, "5.0"),
    ],
)
def test_the_context_is_the_trained_median(
    make_bundle: Callable[..., Path], low: float, median: float, high: float, written: str
) -> None:
    """The number has as many digits as the trained range needs."""
    manifest = Manifest.read(make_bundle(context_dim=1, gradient=True))
    assert manifest.reference is not None
    column = ColumnReference(low, median, high, 1.0)
    reference = replace(manifest.reference, context_columns=(column,))
    line = next_commands(replace(manifest, reference=reference), "model.rnvp")[1]
    assert line == f"rnvp-sample model.rnvp -n 1000 --seed 7 --context {written} -o samples.csv"
