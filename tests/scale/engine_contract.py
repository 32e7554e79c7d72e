"""Requirements on scoring and sampling for every engine; each engine passes its functions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import rnvp_runtime
from rnvp_runtime.errors import InputError

ROWS = 5000


@dataclass(frozen=True)
class Engine:
    """An engine under test.

    frame:     (pandas table, partitions) -> the engine's table
    collected: the engine's table -> pandas, rows in any order
    columns:   the engine's table -> [(name, dtype as text)], without running a job
    score, sample: the functions of the engine's module
    """

    frame: Callable[[pd.DataFrame, int], Any]
    collected: Callable[[Any], pd.DataFrame]
    columns: Callable[[Any], list[str]]
    score: Callable[..., Any]
    sample: Callable[..., Any]


def table(context: bool = False, rows: int = ROWS) -> pd.DataFrame:
    """Rows with the flow's columns in another order and with other columns between them."""
    generator = np.random.default_rng(0)
    columns: dict[str, Any] = {"id": np.arange(rows), "x1": generator.normal(size=rows)}
    columns["name"] = [f"row {i}" for i in range(rows)]
    if context:
        columns["c0"] = generator.normal(size=rows).astype(np.float32)
    columns["x0"] = generator.normal(size=rows)
    return pd.DataFrame(columns)


def expected(bundle: Path, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """The log_prob of a run on one machine, by rnvp_runtime.score_table on a file."""
    flow, folder = rnvp_runtime.load(bundle), bundle.parent
    frame.to_csv(folder / "plain.csv", index=False)
    rows = rnvp_runtime.score_table(flow, folder / "plain.csv")
    return np.concatenate([batch.log_prob for batch in rows])


def check_score(engine: Engine, bundle: Path, partitions: int, context: bool) -> None:
    """Scores are those of one machine, bit for bit, and the other columns keep their order."""
    frame = table(context)
    scored = engine.score(engine.frame(frame, partitions), bundle)
    assert engine.columns(scored) == [*frame.columns, "log_prob"]
    found = engine.collected(scored).sort_values("id").reset_index(drop=True)
    assert found["log_prob"].dtype == np.float32
    np.testing.assert_array_equal(found.pop("log_prob"), expected(bundle, frame))
    assert list(found.columns) == list(frame.columns)
    assert found["name"].tolist() == frame["name"].tolist()
    np.testing.assert_array_equal(found["x0"], frame["x0"])


def check_sample(engine: Engine, bundle: Path, partitions: int | None) -> None:
    """Any partitioning gives the single stream, bit for bit."""
    flow = rnvp_runtime.load(bundle)
    options: dict[str, Any] = {"seed": 9, "start": 5, "temperature": 0.7, "log_prob": True}
    whole = [rows.columns for rows in rnvp_runtime.sample_table(flow, 70_000, **options)]
    drawn = engine.sample(70_000, bundle, partitions=partitions, **options)
    assert engine.columns(drawn) == ["x0", "x1", "log_prob"]
    found = engine.collected(drawn)
    for name in ("x0", "x1", "log_prob"):
        assert found[name].dtype == np.float32
        rows = np.concatenate([np.asarray(columns[name]) for columns in whole])
        np.testing.assert_array_equal(np.sort(found[name]), np.sort(rows))
    pairs = np.stack([np.concatenate([c[k] for c in whole]) for k in ("x0", "x1")], axis=1)
    order, known = np.lexsort(found[["x0", "x1"]].to_numpy().T), np.lexsort(pairs.T)
    np.testing.assert_array_equal(found[["x0", "x1"]].to_numpy()[order], pairs[known])


def check_gaps(engine: Engine, bundle: Path, failure: type[Exception]) -> None:
    """A null is an error with the values of the row, or a row with log_prob NaN or null."""
    frame = table(rows=100)
    frame.loc[[17, 60], "x0"] = np.nan
    with pytest.raises(failure, match=r"hold no finite number, the first is x0=nan, x1="):
        engine.collected(engine.score(engine.frame(frame, 1), bundle))
    kept = engine.collected(engine.score(engine.frame(frame, 3), bundle, nan="keep"))
    assert kept.sort_values("id")["log_prob"].isna().to_numpy().nonzero()[0].tolist() == [17, 60]


def check_refusals(engine: Engine, bundle: Path, conditional: Path) -> None:
    """Input that does not fit is refused when the job is described, before it runs."""
    frame = engine.frame(table(rows=10), 2)
    with pytest.raises(InputError, match="c0"):
        engine.score(frame, conditional)
    with pytest.raises(InputError, match="a column log_prob already"):
        engine.score(engine.score(frame, bundle), bundle)
    with pytest.raises(InputError, match="nan is 'drop', expected 'error' or 'keep'"):
        engine.score(frame, bundle, nan="drop")
    with pytest.raises(InputError, match="needs context"):
        engine.sample(10, conditional)
    with pytest.raises(InputError, match="partitions 0"):
        engine.sample(10, bundle, partitions=0)


def check_empty_partitions(engine: Engine, bundle: Path) -> None:
    """Partitions without rows and samples of no rows are allowed."""
    frame = table(rows=3)
    scored = engine.score(engine.frame(frame, 8), bundle)
    assert len(engine.collected(scored)) == 3
    none = engine.collected(engine.score(engine.frame(frame.iloc[:0], 2), bundle))
    assert len(none) == 0
    assert len(engine.collected(engine.sample(3, bundle, partitions=8, seed=1))) == 3
    assert len(engine.collected(engine.sample(0, bundle, seed=1))) == 0


def check_context(engine: Engine, conditional: Path) -> None:
    """One row of context serves all samples."""
    flow = rnvp_runtime.load(conditional)
    drawn = engine.collected(engine.sample(500, conditional, seed=1, context=[2.0], partitions=3))
    known = flow.sample(500, seed=1, context=[2.0])
    np.testing.assert_array_equal(np.sort(drawn["x0"]), np.sort(known[:, 0]))


def check_command(cluster: str, bundle: Path, folder: Path, command: Callable[..., Any]) -> None:
    """rnvp-score and rnvp-sample with --cluster keep the types and the rows of Parquet files.

    Args:
        cluster: The name of the engine.
        bundle: A bundle without context.
        folder: A folder for the files of the check.
        command: A function that runs ``rnvp-VERB`` with arguments and fails if the command fails.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = table(rows=1000)
    whole = pa.Table.from_pandas(frame, preserve_index=False)
    counts = pa.array([None if i % 7 == 0 else i for i in range(1000)], pa.int64())
    times = pa.array(range(1000), pa.timestamp("us", "UTC"))
    whole = whole.append_column("count", counts).append_column("time", times)
    (folder / "in").mkdir()
    for i in range(4):
        pq.write_table(whole.slice(250 * i, 250), folder / "in" / f"{i}.parquet")
    command("score", bundle, folder / "in", "-o", folder / "out", "--cluster", cluster)
    found = pq.read_table(folder / "out").sort_by("id")
    assert found.column_names == [*whole.column_names, "log_prob"]
    np.testing.assert_array_equal(found["log_prob"].to_numpy(), expected(bundle, frame))
    assert found["count"].to_pylist() == whole["count"].to_pylist()
    assert found["name"].to_pylist() == whole["name"].to_pylist()
    assert found["time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist() == list(
        range(1000)
    )
    options = ("-n", 3000, "--seed", 5, "--shards", 3, "--cluster", cluster)
    command("sample", bundle, "-o", folder / "drawn", *options)
    drawn = pq.read_table(folder / "drawn", columns=["x0", "x1"]).to_pandas()
    known = rnvp_runtime.load(bundle).sample(3000, seed=5)
    np.testing.assert_array_equal(np.sort(drawn["x0"]), np.sort(known[:, 0]))
