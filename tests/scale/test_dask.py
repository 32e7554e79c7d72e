"""Scoring and sampling of Dask data frames, with threads and with real worker processes."""

import os
import pickle
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import rnvp_runtime
from rnvp_runtime.distributed.worker_flows import SentBundle, flow_of, for_workers
from rnvp_runtime.errors import BundleError, InputError
from tests.runtime.conftest import bundle, conditional_bundle
from tests.scale import engine_contract as contract

__all__ = ["bundle", "conditional_bundle"]

dd = pytest.importorskip("dask.dataframe")
from rnvp_runtime.distributed import dask as flows  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def framed(frame: pd.DataFrame, partitions: int) -> Any:
    """A Dask frame with this number of partitions; some are empty if there are few rows."""
    bounds = [len(frame) * i // partitions for i in range(partitions + 1)]
    return dd.from_map(
        lambda low, high: frame.iloc[low:high], bounds[:-1], bounds[1:], meta=frame.iloc[:0]
    )


ENGINE = contract.Engine(
    frame=framed,
    collected=lambda frame: frame.compute(scheduler="threads", num_workers=2),
    columns=lambda frame: list(frame._meta.columns),
    score=flows.score,
    sample=flows.sample,
)


@pytest.mark.parametrize("partitions", [1, 3, 17])
def test_scores_are_the_single_machines(bundle: Path, partitions: int) -> None:
    """The number of partitions does not change the scores."""
    contract.check_score(ENGINE, bundle, partitions, context=False)


def test_context_is_found_by_name(conditional_bundle: Path) -> None:
    """The frame has the columns of the context."""
    contract.check_score(ENGINE, conditional_bundle, 3, context=True)
    contract.check_context(ENGINE, conditional_bundle)


@pytest.mark.parametrize("partitions", [None, 1, 7])
def test_samples_are_the_single_stream(bundle: Path, partitions: int | None) -> None:
    """The number of partitions does not change the samples."""
    contract.check_sample(ENGINE, bundle, partitions)


def test_rows_are_in_the_order_of_the_stream(bundle: Path) -> None:
    """The index is the number of the row, and the divisions are known."""
    drawn = flows.sample(1000, bundle, seed=4, partitions=3)
    assert drawn.known_divisions
    found = drawn.compute(scheduler="threads")
    assert found.index.tolist() == list(range(1000))
    np.testing.assert_array_equal(found, rnvp_runtime.load(bundle).sample(1000, seed=4))


def test_gaps(bundle: Path) -> None:
    """Rows with gaps are refused or kept."""
    contract.check_gaps(ENGINE, bundle, InputError)


def test_what_does_not_fit_is_refused_before_the_job(
    bundle: Path, conditional_bundle: Path
) -> None:
    """A missing column, a column log_prob and a missing context are refused."""
    contract.check_refusals(ENGINE, bundle, conditional_bundle)


def test_empty_partitions(bundle: Path) -> None:
    """Partitions without rows are allowed."""
    contract.check_empty_partitions(ENGINE, bundle)


def test_a_sent_bundle_needs_no_path(bundle: Path, tmp_path: Path) -> None:
    """The graph carries the bundle, so the path may be gone. With send=False it may not."""
    copy = shutil.copytree(bundle, tmp_path / "copy.rnvp")
    frame = framed(contract.table(rows=50), 2)
    sent, named = flows.score(frame, copy), flows.score(frame, copy, send=False)
    shutil.rmtree(copy)
    assert len(sent.compute(scheduler="threads")) == 50
    with pytest.raises(BundleError, match=r"copy\.rnvp"):
        named.compute(scheduler="threads")


def test_a_bundle_is_sent_once_for_each_content(bundle: Path, tmp_path: Path) -> None:
    """Bundles with equal files are one value, and one flow serves them."""
    copy = shutil.copytree(bundle, tmp_path / "copy.rnvp")
    first, second = for_workers(bundle), for_workers(copy)
    assert isinstance(first, SentBundle)
    assert first == second
    assert flow_of(first) is flow_of(pickle.loads(pickle.dumps(second)))


def test_a_bundle_by_uri(bundle: Path, tmp_path: Path) -> None:
    """Workers read a zip file at a URI, or the client reads it once and sends it."""
    pytest.importorskip("pyarrow")
    shutil.make_archive(str(tmp_path / "model.rnvp"), "zip", bundle)
    uri = (tmp_path / "model.rnvp.zip").as_uri()
    frame = contract.table(rows=20)
    for send in (True, False):
        found = flows.score(framed(frame, 2), uri, send=send).compute(scheduler="threads")
        np.testing.assert_array_equal(found["log_prob"], contract.expected(bundle, frame))


@pytest.fixture
def client() -> Iterator[Any]:
    """A cluster of two worker processes."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


def slowly(part: pd.DataFrame) -> pd.DataFrame:
    """Return the partition after a delay, so that a worker can be killed meanwhile."""
    time.sleep(0.2)
    return part


@pytest.mark.slow
def test_two_worker_processes_of_which_one_is_killed(
    bundle: Path, client: Any, tmp_path: Path
) -> None:
    """Each row occurs once, with the number of one machine."""
    frame = contract.table()
    scored = flows.score(framed(frame, 40).map_partitions(slowly, meta=frame.iloc[:0]), bundle)
    future = client.compute(scored)
    time.sleep(2)
    pids = client.run(os.getpid)
    assert len(set(pids.values())) == 2
    os.kill(next(iter(pids.values())), signal.SIGKILL)
    found = future.result(timeout=300).sort_values("id")
    assert found["id"].tolist() == list(range(len(frame)))
    np.testing.assert_array_equal(found["log_prob"], contract.expected(bundle, frame))


@pytest.mark.slow
def test_a_worker_opens_the_bundle_once(bundle: Path, client: Any) -> None:
    """A worker process opens one flow for many partitions."""

    def opened(dask_worker: Any = None) -> int:
        from rnvp_runtime.distributed import worker_flows

        return len(worker_flows._flows)

    client.compute(flows.score(framed(contract.table(), 30), bundle)).result(timeout=300)
    assert set(client.run(opened).values()) <= {0, 1}


def command(verb: str, *arguments: object) -> None:
    """Run ``rnvp-VERB`` in this process."""
    from rnvp_runtime.commands.sample import sample
    from rnvp_runtime.commands.score import score

    found = CliRunner().invoke({"sample": sample, "score": score}[verb], list(map(str, arguments)))
    assert found.exit_code == 0, found.output


def test_the_commands_on_a_cluster(bundle: Path, tmp_path: Path) -> None:
    """The option is --cluster dask."""
    contract.check_command("dask", bundle, tmp_path, command)


def test_a_failed_job_leaves_no_folder(conditional_bundle: Path, tmp_path: Path) -> None:
    """The output appears only when it is complete, and an existing one is not replaced."""
    contract.table(rows=10).to_parquet(tmp_path / "in.parquet")
    with pytest.raises(AssertionError, match="c0"):
        command(
            *("score", conditional_bundle, tmp_path / "in.parquet", "-o", tmp_path / "out"),
            *("--cluster", "dask"),
        )
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(AssertionError, match="mine is there already"):
        command(
            *("sample", conditional_bundle, "-n", 3, "--context", "c0=1"),
            *("-o", tmp_path / "mine", "--cluster", "dask"),
        )
