"""``rnvp-sample --context``: conditions by name, grids, and the context columns of the output."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import rnvp_runtime
from rnvp_runtime import Manifest
from rnvp_runtime.bundle.manifest import ColumnReference
from rnvp_runtime.commands.sample import sample
from rnvp_runtime.commands.score import score
from rnvp_runtime.terminal.conditions import notes_on_range, parse_conditions

Invoke = Callable[..., Result]


@pytest.fixture
def trained(make_bundle: Any, reseal: Any) -> Path:
    """A flow with trained ranges 10 … 200 of energy and -1 … 1 of theta."""
    path: Path = make_bundle(context_dim=2, gradient=True)
    manifest = Manifest.read(path)
    assert manifest.reference is not None
    ranges = (ColumnReference(10, 50, 200, 40), ColumnReference(-1, 0.25, 1, 0.5))
    reference = dataclasses.replace(manifest.reference, context_columns=ranges)
    names = ("energy", "theta")
    reseal(path, dataclasses.replace(manifest, context_columns=names, reference=reference))
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda command, *args: CliRunner().invoke(command, [str(a) for a in args])


@pytest.mark.parametrize("text", ["100,0.5", "energy=100,theta=0.5", " theta = 0.5, energy=100 "])
def test_conditions_are_given_in_order_or_by_name(trained: Path, text: str) -> None:
    """All of these texts give the same point."""
    found = parse_conditions(text, Manifest.read(trained))
    assert found is not None
    assert found.tolist() == [[100, 0.5]]


def test_a_grid_has_both_ends_and_the_last_column_changes_fastest(trained: Path) -> None:
    """START:STOP:COUNT gives the points of numpy's linspace."""
    found = parse_conditions("theta=0:1:3,energy=10:200:2", Manifest.read(trained))
    assert found is not None
    assert found.tolist() == [[e, t] for e in (10, 200) for t in (0, 0.5, 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "conditional on energy, theta: add --context energy=50,theta=0.25"),
        ("100", "'100' has 1 values, expected 2: energy=50,theta=0.25"),
        ("energy=100", "it lacks theta: add theta=0.25"),
        ("energy=1,phi=2", "'phi' is no context column: the flow has energy, theta"),
        ("energy=1,energy=2", "energy is given twice"),
        ("energy=1,2", "'2' has no name"),
        ("energy=,theta=1", "energy: '' is not a number"),
        ("1,nan", "theta: 'nan' is not a finite number"),
        ("1,1e39", "theta: '1e39' is not a finite number in float32"),
        ("1:1e39:3,1", "energy: '1e39' is not a finite number in float32"),
        ("energy=1:2,theta=0", "'1:2' is not a grid: write START:STOP:COUNT, such as 10:200:20"),
        ("energy=1:2:0,theta=0", "is not a grid"),
        ("energy=0:1:2000,theta=0:1:2000", "is a grid of more than 1,000,000 points"),
        ("energy=0:1:99999999,theta=0", "is a grid of more than 1,000,000 points"),
    ],
)
def test_conditions_that_do_not_fit_are_named(trained: Path, text: str | None, said: str) -> None:
    """The message names the option --context and the fault."""
    with pytest.raises(click.UsageError) as caught:
        parse_conditions(text, Manifest.read(trained))
    assert said in caught.value.format_message()
    assert "--context" in caught.value.format_message()


def test_a_name_may_hold_a_comma_or_an_equals_sign(trained: Path) -> None:
    """A name with a comma is quoted, as in CSV."""
    manifest = dataclasses.replace(Manifest.read(trained), context_columns=("E, GeV", "a=b"))
    found = parse_conditions('"E, GeV=3",a=b=4', manifest)
    assert found is not None
    assert found.tolist() == [[3, 4]]


def test_sample_draws_n_rows_for_each_point_and_score_reads_them(
    run: Invoke, trained: Path
) -> None:
    """The conditions are columns, and both commands give the same log_prob."""
    grid = "energy=10:200:3,theta=0.5"
    args = ["-n", "1e3", "--seed", 7, "--context", grid, "--log-prob", "-o", "s.csv"]
    assert run(sample, trained, *args).exit_code == 0
    drawn = pd.read_csv("s.csv")
    assert list(drawn) == ["x0", "x1", "energy", "theta", "log_prob"]
    assert drawn.energy.tolist() == np.repeat([10, 105, 200], 1000).tolist()
    context = drawn[["energy", "theta"]].to_numpy()
    expected = rnvp_runtime.load(trained).sample(3000, seed=7, context=context)
    np.testing.assert_array_equal(drawn[["x0", "x1"]].to_numpy(np.float32), expected)
    drawn.drop(columns="log_prob").to_csv("t.csv", index=False)
    assert run(score, trained, "t.csv", "-o", "scored.csv").exit_code == 0
    np.testing.assert_allclose(pd.read_csv("scored.csv").log_prob, drawn.log_prob, atol=1e-3)


def test_an_array_of_samples_can_be_scored_too(run: Invoke, trained: Path) -> None:
    """A .npy holds the flow's columns, then the context's."""
    run(sample, trained, "-n", 5, "--context", "100,0.5", "-o", "s.npy")
    assert np.load("s.npy").shape == (5, 4)
    assert run(score, trained, "s.npy", "-o", "l.npy").exit_code == 0


def test_conditions_outside_the_trained_range_are_named(run: Invoke, trained: Path) -> None:
    """Each such column gets one warning, from --context and from a table."""
    said = "Warning: energy is 100000; in training 99.8 % of rows had 10 … 200"
    assert said in run(sample, trained, "-n", 5, "--context", "100000,0.5").stderr
    Path("t.csv").write_text("energy,theta\n100,0\n100000,0\n200000,0\n")
    told = run(sample, trained, "--context-from", "t.csv").stderr
    assert told.count("Warning") == 1
    assert said in told
    assert "Warning" not in run(sample, trained, "-n", 5, "--context", "100,0.5").stderr
    assert notes_on_range(Manifest.read(trained), np.zeros((0, 2))) == {}
