"""Quantiles, flags and explanations of unlikely rows for a flow known in closed form."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import rnvp_runtime
from rnvp_runtime import AnomalyColumns, BundleError, InputError, TableError
from rnvp_runtime.anomalies import log_prob_at, quantiles_of
from rnvp_runtime.commands.score import score
from rnvp_runtime.running_quantiles import RunningQuantiles
from rnvp_runtime.tables import FORMATS, open_table

Make = Callable[..., Path]


@pytest.fixture
def known(make_bundle: Make) -> rnvp_runtime.Flow:
    """A flow with a reference: x0 ~ N(1, 1) and x1 ~ N(2, 2²), independent."""
    return rnvp_runtime.load(make_bundle(gradient=True))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """1,000 rows of the flow, and one row whose x1 is 6 standard deviations from the mean."""
    x = np.random.default_rng(1).normal([1, 2], [1, 2], (1000, 2))
    path = tmp_path / "t.csv"
    rows = [f"{a:.6f},{b:.6f}" for a, b in [*x, (1.5, 14.0)]]
    path.write_text("\n".join(["x0,x1", *rows]) + "\n")
    return path


def test_the_quantile_is_the_share_of_reference_rows_that_are_less_likely(known: Any) -> None:
    """The quantiles of samples of the flow are uniform on 0 ... 1."""
    x = np.random.default_rng(0).normal([1, 2], [1, 2], (20_000, 2))
    found = quantiles_of(known.manifest.reference, known.log_prob(x))
    for level in (0.001, 0.01, 0.1, 0.5, 0.9):
        assert (found < level).mean() == pytest.approx(level, abs=3 * np.sqrt(level / 20_000))


def test_the_quantile_ends_at_zero_and_one_and_keeps_nan(known: Any) -> None:
    """A log_prob beyond the reference gets the quantile 0 or 1."""
    found = quantiles_of(known.manifest.reference, [-np.inf, -1e6, 1e6, np.nan])
    np.testing.assert_array_equal(found, [0, 0, 1, np.nan])


@pytest.mark.parametrize("share", [0, 1, -0.1, np.nan])
def test_a_share_is_between_0_and_1(known: Any, share: float) -> None:
    """Other numbers give an InputError."""
    with pytest.raises(InputError, match="expected a number between 0 and 1"):
        log_prob_at(known.manifest.reference, share)


def test_the_slope_is_the_gradient_in_standard_deviations(known: Any, affine: Any) -> None:
    """The slope is |d log p / dx_j| s_j, which is |z_j| for a normal column."""
    x = np.array([[2.0, 14.0], [1.0, -2.0]])
    np.testing.assert_allclose(
        rnvp_runtime.explain(known, x).slope, np.abs(affine().z(x)), rtol=1e-5
    )


def test_the_surprise_is_what_the_column_costs_given_the_others(known: Any, affine: Any) -> None:
    """For independent normal columns it is z_j² / 2, and the expected value is the mean."""
    x = np.array([[3.0, 14.0], [-2.0, 4.0]])
    found = rnvp_runtime.explain(known, x)
    np.testing.assert_allclose(found.surprise, affine().z(x) ** 2 / 2, atol=1e-3)
    np.testing.assert_allclose(found.expected, [[1, 2], [1, 2]], atol=0.05)
    np.testing.assert_array_equal(found.causes(), [[1, 0], [0, 1]])


def test_a_surprise_is_not_negative(known: Any) -> None:
    """If no value is more likely, the expected value is the column's own."""
    found = rnvp_runtime.explain(known, np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(found.surprise, [[0, 0]])
    np.testing.assert_array_equal(found.expected, [[1, 2]])


def test_rows_are_explained_given_their_context(make_bundle: Make, affine: Any) -> None:
    """The expected value depends on the context."""
    flow = rnvp_runtime.load(make_bundle(context_dim=1, gradient=True))
    context = np.array([[0.5], [-1.0]])
    found = rnvp_runtime.explain(flow, np.array([[3.5, 5.0], [2.0, 4.0]]), context)
    np.testing.assert_allclose(found.expected, affine(2, 1).shift(context, 2), atol=0.1)


def test_a_row_of_nan_has_no_surprise(known: Any) -> None:
    """NaN gives NaN, and the other rows are not affected."""
    found = rnvp_runtime.explain(known, np.array([[np.nan, 2.0], [1.0, 8.0]]))
    assert np.isnan(found.surprise[0]).all()
    assert np.isfinite(found.surprise[1]).all()


@pytest.mark.parametrize("number", [1e20, -1e30, 1e38, 1e39, np.inf])
def test_rows_of_any_size_are_explained_without_a_warning(known: Any, number: float) -> None:
    """A huge number gives a huge, infinite or undefined surprise and does not affect other rows."""
    found = rnvp_runtime.explain(known, np.array([[number, 2.0], [1.0, number], [1.0, 8.0]]))
    assert not (found.surprise[[0, 1], [0, 1]] < 1e6).any()
    assert np.isfinite(found.surprise[2]).all()


def test_an_older_bundle_has_no_reference(flow: Any) -> None:
    """The error says to export the checkpoint again."""
    with pytest.raises(BundleError, match="holds no reference rows: export its checkpoint again"):
        rnvp_runtime.explain(flow, np.zeros((1, 2)))


def test_a_scored_table_gains_the_columns_that_were_asked_for(known: Any, table: Path) -> None:
    """The columns follow log_prob in a fixed order, and only flagged rows are explained."""
    added = AnomalyColumns(quantile=True, threshold=0.001, explain=True)
    (rows,) = rnvp_runtime.score_table(known, table, anomalies=added)
    names = ["x0", "x1", "log_prob", "quantile", "unlikely"]
    parts = ("", "_surprise", "_expected", "_slope")
    assert list(rows.columns) == names + [f"cause_{i}{p}" for i in (1, 2) for p in parts]
    flagged = np.flatnonzero(rows.columns["unlikely"])
    assert 1000 in flagged
    assert rows.unlikely == len(flagged) < 10
    assert rows.columns["cause_1"][1000] == "x1"
    assert rows.columns["cause_1_surprise"][1000] == pytest.approx(18, abs=0.1)
    assert sum(name != "" for name in rows.columns["cause_1"]) == len(flagged)


def test_a_table_that_has_such_a_column_is_refused(known: Any, tmp_path: Path) -> None:
    """No column of the user is overwritten."""
    path = tmp_path / "t.csv"
    path.write_text("x0,x1,quantile\n1,2,3\n")
    with pytest.raises(TableError, match="has a column 'quantile' already"):
        rnvp_runtime.score_table(known, path, anomalies=AnomalyColumns(quantile=True))


def test_an_output_without_names_is_refused(known: Any, table: Path) -> None:
    """A .npy file holds log_prob alone."""
    with pytest.raises(InputError, match=r"write a \.csv"):
        rnvp_runtime.score_table(
            known, table, into=FORMATS[".npy"], anomalies=AnomalyColumns(quantile=True)
        )


def run(*arguments: Any) -> Any:
    """Run ``rnvp-score``."""
    return CliRunner().invoke(score, [str(argument) for argument in arguments])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_command_flags_and_explains(known: Any, table: Path, suffix: str) -> None:
    """The threshold may be a percentage, and the summary counts the flagged rows."""
    output = table.with_name(f"scored{suffix}")
    options = ["--threshold", "0.1%", "--quantile", "--explain"]
    result = run(known.path, table, "-o", output, *options)
    assert result.exit_code == 0, result.output
    assert "rows are unlikely" in result.stderr
    (batch,) = open_table(output)
    columns = {name: list(column) for name, column in batch.columns().items()}
    assert str(columns["cause_1"][-1]) == "x1"
    assert float(str(columns["quantile"][-1])) < 0.001
    assert float(str(columns["cause_1_expected"][-1])) == pytest.approx(2, abs=0.1)


def test_the_summary_has_the_median_and_quantiles(known: Any, table: Path) -> None:
    """A single very unlikely row can dominate the mean but not the quantiles."""
    result = run(known.path, table, "-o", table.with_name("s.csv"), "--json", "--threshold", 0.01)
    summary = json.loads(result.stdout)
    log_prob = known.log_prob(next(iter(open_table(table))).numeric(["x0", "x1"]))
    found = summary["log_prob_quantiles"]
    assert found["0.5"] == pytest.approx(float(np.median(log_prob)))
    assert list(found) == ["0.001", "0.01", "0.1", "0.5", "0.9"]
    assert 1 <= summary["unlikely_rows"] < 30


@pytest.mark.parametrize("share", ["0", "100%", "text", "1", "-1%"])
def test_a_threshold_that_is_not_a_share_is_refused(known: Any, table: Path, share: str) -> None:
    """The exit code is 2, and the error shows two valid values."""
    result = run(known.path, table, f"--threshold={share}")
    assert result.exit_code == 2
    assert "is no share of rows: write 0.1% or 0.001" in result.stderr


def test_a_threshold_that_the_reference_cannot_resolve_is_noted(known: Any, table: Path) -> None:
    """Of 100,000 reference rows, 0.01 % are enough and 0.001 % are too few."""
    note = "so the threshold is uncertain"
    assert note not in run(known.path, table, "--threshold", "0.01%").stderr
    assert note in run(known.path, table, "--threshold", "0.001%").stderr


def test_running_quantiles_are_those_of_all_numbers() -> None:
    """The division into batches does not matter; NaN and infinity are left out."""
    values = np.random.default_rng(0).normal(size=1001)
    running = RunningQuantiles()
    for part in np.split(values, [0, 3, 500]):
        running.add(np.append(part, [np.nan, np.inf]))
    expected = np.quantile(values, [0, 0.1, 0.5, 1], method="inverted_cdf")
    assert running.at([0, 0.1, 0.5, 1]) == expected.tolist()
    assert RunningQuantiles().at([0.5]) is None


def test_running_quantiles_keep_an_evenly_spaced_part_of_very_many() -> None:
    """Memory is bounded: of 0 ... 9,999, the multiples of a common stride are kept."""
    running = RunningQuantiles(most=100)
    for low in range(0, 10_000, 37):
        running.add(np.arange(low, min(low + 37, 10_000), dtype=float))
    levels = [0.0, 0.1, 0.5, 0.9]
    np.testing.assert_allclose(running.at(levels), np.multiply(levels, 10_000), atol=300)


def test_running_quantiles_hold_no_more_than_they_keep() -> None:
    """Of 10 million numbers at most 10,000 stay in memory, and no input array does."""
    running, batch = RunningQuantiles(most=10_000), np.arange(10_000.0)
    tracemalloc.start()
    try:
        for _ in range(1000):
            running.add(batch)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 * 10_000 * batch.itemsize
