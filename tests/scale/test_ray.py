"""Scoring and sampling of Ray datasets, with two worker processes on this machine."""

import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.runtime.conftest import bundle, conditional_bundle
from tests.scale import engine_contract as contract
from tests.scale import local_clusters
from tests.scale.local_clusters import LocalCluster, kill_a_worker
from tests.scale.test_dask import command

__all__ = ["bundle", "conditional_bundle"]

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
from rnvp_runtime.distributed import ray as flows  # noqa: E402

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[LocalCluster]:
    """Ray on this machine, with two CPUs in its accounting."""
    with local_clusters.ray() as found:
        yield found


@cache
def done(dataset: Any) -> Any:
    """Run the job of a dataset once. Before that, Ray has no schema of it."""
    return dataset.materialize()


def collected(dataset: Any) -> Any:
    """All rows. Ray's blocks without rows have no columns."""
    tables = ray.get(done(dataset).to_arrow_refs())
    return pa.concat_tables(tables, promote_options="default").to_pandas()


ENGINE = contract.Engine(
    frame=lambda frame, partitions: ray.data.from_pandas(frame).repartition(partitions),
    collected=collected,
    columns=lambda dataset: list(done(dataset).columns()),
    score=flows.score,
    sample=flows.sample,
)


def test_scores_are_the_single_machines(bundle: Path) -> None:
    """The number of partitions does not change the scores."""
    contract.check_score(ENGINE, bundle, 7, context=False)


def test_context(conditional_bundle: Path) -> None:
    """The dataset has the columns of the context."""
    contract.check_score(ENGINE, conditional_bundle, 3, context=True)
    contract.check_context(ENGINE, conditional_bundle)


@pytest.mark.parametrize("partitions", [None, 5])
def test_samples_are_the_single_stream(bundle: Path, partitions: int | None) -> None:
    """The number of partitions does not change the samples."""
    contract.check_sample(ENGINE, bundle, partitions)


def test_gaps(bundle: Path) -> None:
    """Rows with gaps are refused, or kept with a null."""
    contract.check_gaps(ENGINE, bundle, Exception)


def test_refusals(bundle: Path, conditional_bundle: Path) -> None:
    """Input that does not fit is refused before the job."""
    contract.check_refusals(ENGINE, bundle, conditional_bundle)


def test_empty_partitions(bundle: Path) -> None:
    """Partitions without rows are allowed."""
    contract.check_empty_partitions(ENGINE, bundle)


def test_a_failed_job_does_not_block_the_next(bundle: Path) -> None:
    """Its workers live as long as its exception, but they must not hold the CPUs."""
    frame = contract.table(rows=100)
    frame.loc[3, "x0"] = np.nan
    failures = []
    for _ in range(3):
        with pytest.raises(Exception, match="hold no finite number") as failure:
            ENGINE.collected(flows.score(ENGINE.frame(frame, 2), bundle))
        failures.append(failure)
    assert len(ENGINE.collected(flows.score(ENGINE.frame(frame, 2), bundle, nan="keep"))) == 100


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="workers are found in /proc")
def test_a_killed_worker(bundle: Path, cluster: LocalCluster) -> None:
    """A worker that is killed half-way is started again, and each row occurs once."""
    frame = contract.table(rows=20_000)

    def slowly(table: Any) -> Any:
        time.sleep(0.3)
        return table

    killed: list[int | None] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not cluster.workers() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        killed.append(kill_a_worker(cluster))

    slow = ENGINE.frame(frame, 20).map_batches(slowly, batch_format="pyarrow", batch_size=None)
    thread = threading.Thread(target=kill)
    thread.start()
    found = ENGINE.collected(flows.score(slow, bundle, workers=2)).sort_values("id")
    thread.join()
    assert killed[0] is not None
    assert found["id"].tolist() == list(range(len(frame)))
    np.testing.assert_array_equal(found["log_prob"], contract.expected(bundle, frame))


def test_the_commands_on_a_cluster(bundle: Path, tmp_path: Path) -> None:
    """The option is --cluster ray."""
    contract.check_command("ray", bundle, tmp_path, command)
