"""Scoring and sampling of Spark data frames, in a local session with two worker processes."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.runtime.conftest import bundle, conditional_bundle
from tests.scale import engine_contract as contract
from tests.scale import local_clusters
from tests.scale.local_clusters import LocalCluster, kill_a_worker
from tests.scale.test_dask import command

__all__ = ["bundle", "conditional_bundle"]

pytest.importorskip("pyspark")
from rnvp_runtime.distributed import spark as flows

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs a Java runtime"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Spark with two worker processes; a task is tried four times."""
    with local_clusters.spark() as found:
        yield found


@pytest.fixture
def session(cluster: LocalCluster) -> Any:
    """The Spark session."""
    return cluster.engine


@pytest.fixture
def engine(session: Any) -> contract.Engine:
    """The functions of the Spark engine."""

    def framed(frame: pd.DataFrame, partitions: int) -> Any:
        if not len(frame):
            whole = contract.table(rows=1)
            return session.createDataFrame(whole).where("id < 0").repartition(partitions)
        nulls = (
            frame.astype(object).where(frame.notna(), None) if frame.isna().any().any() else frame
        )
        found = session.createDataFrame(nulls, schema=session.createDataFrame(frame).schema)
        return found.repartition(partitions)

    return contract.Engine(
        frame=framed,
        collected=lambda frame: frame.toPandas(),
        columns=lambda frame: list(frame.columns),
        score=flows.score,
        sample=lambda n, bundle, **options: flows.sample(session, n, bundle, **options),
    )


def test_scores_are_the_single_machines(engine: contract.Engine, bundle: Path) -> None:
    """The number of partitions does not change the scores."""
    contract.check_score(engine, bundle, 7, context=False)


def test_context(engine: contract.Engine, conditional_bundle: Path) -> None:
    """The frame has the columns of the context."""
    contract.check_score(engine, conditional_bundle, 3, context=True)
    contract.check_context(engine, conditional_bundle)


@pytest.mark.parametrize("partitions", [None, 5])
def test_samples_are_the_single_stream(
    engine: contract.Engine, bundle: Path, partitions: int | None
) -> None:
    """The number of partitions does not change the samples."""
    contract.check_sample(engine, bundle, partitions)


def test_gaps(engine: contract.Engine, bundle: Path) -> None:
    """Rows with gaps are refused, or kept with a null."""
    contract.check_gaps(engine, bundle, Exception)


def test_refusals_and_empty_partitions(
    engine: contract.Engine, bundle: Path, conditional_bundle: Path
) -> None:
    """Input that does not fit is refused before the job, and empty partitions are allowed."""
    contract.check_refusals(engine, bundle, conditional_bundle)
    contract.check_empty_partitions(engine, bundle)


def test_sql(session: Any, bundle: Path) -> None:
    """SQL calls the log_prob as a function."""
    frame = contract.table(rows=200)
    session.createDataFrame(frame).createOrReplaceTempView("events")
    flows.register(session, bundle)
    found = session.sql("SELECT id, rnvp_log_prob(x0, x1) AS p FROM events").toPandas()
    expected = contract.expected(bundle, frame)
    np.testing.assert_array_equal(found.sort_values("id")["p"], expected)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="workers are found in /proc")
def test_a_killed_worker(cluster: LocalCluster, engine: contract.Engine, bundle: Path) -> None:
    """The task of a worker that is killed half-way runs again, and each row occurs once."""
    frame = contract.table(rows=20_000)

    def slowly(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            time.sleep(0.5)
            yield batch

    killed: list[int | None] = []

    def kill() -> None:
        time.sleep(3)
        killed.append(kill_a_worker(cluster))

    slow = engine.frame(frame, 20)
    slow = slow.mapInArrow(slowly, slow.schema)
    thread = threading.Thread(target=kill)
    thread.start()
    found = engine.collected(engine.score(slow, bundle)).sort_values("id")
    thread.join()
    assert killed[0] is not None
    assert found["id"].tolist() == list(range(len(frame)))
    np.testing.assert_array_equal(found["log_prob"], contract.expected(bundle, frame))


def test_z_the_commands_on_a_cluster(bundle: Path, tmp_path: Path) -> None:
    """The option is --cluster spark. The test is last because it ends the session."""
    contract.check_command("spark", bundle, tmp_path, command)
