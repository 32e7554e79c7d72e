"""Scoring and sampling from Python: batches of values, without output or files."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime import InputError, TableError
from rnvp_runtime.tables import FORMATS, open_table, open_writer
from rnvp_runtime.tables.numpy_table import MatrixTable
from rnvp_runtime.tables.table import ReadOptions

X = np.array([[0.5, -1.0], [2.0, 3.0], [-4.0, 1.5]])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three rows with a column of text. The flow's columns are in another order."""
    path = tmp_path / "table.csv"
    path.write_text("name,x1,x0\na,-1.0,0.50\nb,3,2\nc,1.5,-4\n")
    return path


def test_a_table_is_scored_in_batches(flow: Any, table: Path) -> None:
    """Each batch holds its columns, its log_prob, and the counts that a summary needs."""
    batches = list(rnvp_runtime.score_table(flow, open_table(table, batch_rows=2)))
    assert [(rows.first_row, len(rows), rows.finite) for rows in batches] == [(1, 2, 2), (3, 1, 1)]
    found = np.concatenate([rows.log_prob for rows in batches])
    np.testing.assert_array_equal(found, flow.log_prob(X))
    assert sum(rows.finite_sum for rows in batches) == pytest.approx(found.sum())
    assert list(batches[0].columns) == ["name", "x1", "x0", "log_prob"]
    assert list(batches[0].columns["x0"]) == ["0.50", "2"]


def test_a_batch_cannot_be_changed(flow: Any, table: Path) -> None:
    """A batch is a frozen record."""
    rows = next(rnvp_runtime.score_table(flow, table))
    with pytest.raises(FrozenInstanceError):
        rows.finite = 0  # type: ignore[misc]


def test_columns_suit_the_format_that_they_are_meant_for(flow: Any, table: Path) -> None:
    """Formats with types get numbers. A format without names gets log_prob alone."""
    rows = next(rnvp_runtime.score_table(flow, table, into=FORMATS[".parquet"]))
    np.testing.assert_array_equal(rows.columns["x0"], X[:, 0])
    assert list(rows.columns["name"]) == ["a", "b", "c"]
    assert list(next(rnvp_runtime.score_table(flow, table, into=FORMATS[".npy"])).columns) == [
        "log_prob"
    ]


def test_rows_with_gaps_are_an_error_after_the_last_batch(flow: Any, tmp_path: Path) -> None:
    """Only then all such rows are known. With nan="keep" they are scored."""
    path = tmp_path / "t.csv"
    path.write_text("x0,x1\n1,2\n,3\n4,inf\n")
    scored = rnvp_runtime.score_table(flow, path)
    assert np.isnan(next(scored).log_prob).tolist() == [False, True, False]
    with pytest.raises(TableError, match=r"2 rows hold no finite number: 2, 3: correct them, or p"):
        next(scored)
    [rows] = rnvp_runtime.score_table(flow, path, nan="keep")
    assert rows.finite == 1


@pytest.mark.parametrize("number", [1e39, -1e300])
def test_a_number_beyond_the_dtype_is_no_finite_number(
    make_bundle: Any, tmp_path: Path, number: float
) -> None:
    """It is refused and dropped like infinity, but not by a flow whose dtype holds it."""
    path = tmp_path / "t.csv"
    path.write_text(f"x0,x1\n1,2\n3,{number}\n")
    flow = rnvp_runtime.load(make_bundle())
    said = "1 row holds no finite number in float32, the flow's dtype: 2: correct them"
    with pytest.raises(TableError, match=said):
        list(rnvp_runtime.score_table(flow, path))
    [rows] = rnvp_runtime.score_table(flow, path, nan="drop")
    assert (rows.finite, rows.dropped) == (1, 1)
    double = rnvp_runtime.load(make_bundle("double.rnvp", dtype="float64"))
    [rows] = rnvp_runtime.score_table(double, path)
    assert len(rows) == 2


def test_a_condition_beyond_the_dtype_is_no_finite_number(make_bundle: Any, tmp_path: Path) -> None:
    """A table of conditions is refused; one from Python gives NaN without a warning of numpy."""
    flow, path = rnvp_runtime.load(make_bundle(context_dim=1)), tmp_path / "t.csv"
    path.write_text("c0\n1\n1e39\n")
    with pytest.raises(TableError, match="1 row holds no finite number in float32"):
        rnvp_runtime.sample_table(flow, context_from=path)
    [rows] = rnvp_runtime.sample_table(flow, 2, context=[1e39])
    assert not np.isfinite(rows.x).any()


def test_a_table_with_a_column_log_prob_is_refused_at_once(flow: Any, tmp_path: Path) -> None:
    """The error comes before the first batch is requested."""
    path = tmp_path / "t.csv"
    path.write_text("x0,x1,log_prob\n1,2,3\n")
    with pytest.raises(TableError, match="has a column 'log_prob' already"):
        rnvp_runtime.score_table(flow, path)


def test_float32_numbers_reach_the_flow_as_they_are() -> None:
    """The batch is a view of the file, without a conversion to float64 and back."""
    matrix = X.astype(np.float32)
    [batch] = MatrixTable("t.npy", matrix, ReadOptions(10))
    found = batch.numeric(["x0", "x1"])
    assert found.dtype == np.float32
    assert np.shares_memory(found, matrix)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("f2", "f4"), ("f4", "f4"), (">f4", "f4"), ("f8", "f8"), ("i4", "f8"), ("?", "f8")],
)
def test_numbers_keep_their_precision(tmp_path: Path, kind: str, expected: str) -> None:
    """float32 holds float16 and float32 exactly. Other types become float64."""
    np.save(tmp_path / "t.npy", np.ones((2, 2), kind))
    np.savez(tmp_path / "t.npz", x0=np.ones(2, kind), x1=np.ones(2, kind))
    for name in ("t.npy", "t.npz"):
        [batch] = open_table(tmp_path / name)
        assert batch.numeric(["x0", "x1"]).dtype == expected


def test_any_choice_of_the_columns_of_a_csv_file_is_written(tmp_path: Path, table: Path) -> None:
    """Whole records are copied as text. For other choices the lines are built from cells."""
    [batch] = open_table(table)
    columns = batch.columns()
    for kept in (["name", "x1", "x0"], ["x0", "name"], ["name", "x1"], ["x1", "name", "x0"]):
        with open_writer(tmp_path / "out.csv") as writer:
            writer.write({name: columns[name] for name in kept} | {"n": np.arange(3)})
        cells = [list(columns[name]) for name in kept]
        lines = [",".join([*row, str(i)]) for i, row in enumerate(zip(*cells, strict=True))]
        assert (tmp_path / "out.csv").read_text().splitlines() == [",".join([*kept, "n"]), *lines]


def test_samples_come_in_batches(flow: Any) -> None:
    """The batches hold the rows of `Flow.sample`, numbered from ``start``."""
    batches = list(rnvp_runtime.sample_table(flow, 70_000, seed=7, start=5, log_prob=True))
    assert [rows.first_row for rows in batches] == [5, 65541]
    assert list(batches[0].columns) == ["x0", "x1", "log_prob"]
    x, log_prob = flow.sample(70_000, seed=7, start=5, return_log_prob=True)
    np.testing.assert_array_equal(np.concatenate([rows.x for rows in batches]), x)
    np.testing.assert_array_equal(np.concatenate([rows.log_prob for rows in batches]), log_prob)


def test_no_samples_are_one_batch_with_the_columns(flow: Any) -> None:
    """A table without rows therefore has its header."""
    [rows] = rnvp_runtime.sample_table(flow, 0, seed=7)
    assert (len(rows), list(rows.columns), rows.log_prob) == (0, ["x0", "x1"], None)


def test_without_a_seed_all_batches_share_one(flow: Any) -> None:
    """Entropy is read once for all batches, so no row is drawn twice."""
    batches = list(rnvp_runtime.sample_table(flow, 65_546))
    assert not np.array_equal(batches[0].x[:10], batches[1].x)


@pytest.mark.parametrize("context", [[2.0], [[2.0]], np.full((70_000, 1), 2.0)])
def test_context_is_one_row_or_one_for_each_sample(conditional_bundle: Path, context: Any) -> None:
    """This holds over several batches too."""
    flow = rnvp_runtime.load(conditional_bundle)
    batches = rnvp_runtime.sample_table(flow, 70_000, seed=7, context=context)
    expected = flow.sample(70_000, seed=7, context=[2.0])
    np.testing.assert_array_equal(np.concatenate([rows.x for rows in batches]), expected)


def test_context_may_come_from_a_table(conditional_bundle: Path, tmp_path: Path) -> None:
    """One sample is drawn for each row of the table."""
    path = tmp_path / "t.csv"
    path.write_text("k,c0\na,0\nb,1\n")
    flow = rnvp_runtime.load(conditional_bundle)
    [rows] = rnvp_runtime.sample_table(flow, seed=7, context_from=path)
    np.testing.assert_array_equal(rows.x, flow.sample(2, seed=7, context=[[0], [1]]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give the number of rows, n, or context_from"),
        ({"n": 1, "context_from": "t.csv"}, "give the number of rows, n, or context_from"),
        ({"n": 1, "seed": 2**64}, "does not fit 64 bits"),
    ],
)
def test_arguments_that_contradict_are_refused_at_once(flow: Any, given: Any, said: str) -> None:
    """The error comes before the first batch is requested."""
    with pytest.raises(InputError, match=said):
        rnvp_runtime.sample_table(flow, **given)


def test_a_context_of_another_length_is_refused(conditional_bundle: Path) -> None:
    """`Flow.sample` gives the same error."""
    flow = rnvp_runtime.load(conditional_bundle)
    with pytest.raises(InputError, match="context has 3 rows: pass one, or one for each of 5"):
        list(rnvp_runtime.sample_table(flow, 5, context=np.ones((3, 1))))
