"""The command lines shown after a card or an export."""

import shlex
from pathlib import Path

from rnvp_runtime import Manifest
from rnvp_runtime.terminal.next_commands import next_commands


def test_paths_are_quoted_for_the_shell(bundle: Path) -> None:
    """A path with a space, pasted, is one argument."""
    lines = next_commands(Manifest.read(bundle), "my flows/it's.rnvp")
    assert [shlex.split(line)[1] for line in lines] == ["my flows/it's.rnvp"] * 3


def test_a_conditional_flow_is_given_context(conditional_bundle: Path) -> None:
    """Its sample line has one number for each context column."""
    line = next_commands(Manifest.read(conditional_bundle), "model.rnvp")[1]
    assert line == "rnvp-sample model.rnvp -n 1000 --seed 7 --context 0 -o samples.csv"
