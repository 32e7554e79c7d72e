"""Dask, Ray and Spark on this machine with two worker processes, for tests and measurements.

Ray starts its workers with niceness 15, so a job takes minutes on a busy machine. They run here
with the niceness of the driver. Ray also gets more than its 30 s to start.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CLUSTERS", "LocalCluster", "dask", "kill_a_worker", "ray", "spark"]

# Ray reads these variables when it is imported.
os.environ |= {
    "RAY_worker_niceness": str(os.nice(0) if hasattr(os, "nice") else 0),
    "RAY_raylet_start_wait_time_s": "900",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class LocalCluster:
    """An engine that runs on this machine.

    Attributes:
        engine: Its client or session. It is None for Ray, which has one engine in a process.
        address: The value of ``--address``. None means the engine that this process started.
        workers: A function that returns the ids of the processes that compute now.
    """

    engine: Any
    address: str | None
    workers: Callable[[], list[int]]


@contextmanager
def dask() -> Iterator[LocalCluster]:
    """Start two workers of one thread."""
    import distributed

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(**options, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = LocalCluster(
            client, cluster.scheduler_address, lambda: list(client.run(os.getpid).values())
        )
        yield found


@contextmanager
def ray() -> Iterator[LocalCluster]:
    """Start Ray with two CPUs in its accounting, on the loopback address."""
    import ray as engine

    options = {"num_cpus": 2, "include_dashboard": False, "log_to_driver": False}
    engine.init(**options, _node_ip_address="127.0.0.1")
    engine.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield LocalCluster(None, None, lambda: _workers(b"ray::MapWorker"))
    finally:
        engine.shutdown()


@contextmanager
def spark() -> Iterator[LocalCluster]:
    """Start Spark with two tasks at a time and four attempts each. A partition is up to 8 MiB."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2,4]")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.files.maxPartitionBytes": "8m",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        yield LocalCluster(session, None, lambda: _workers(b"pyspark.daemon"))
    finally:
        session.stop()


CLUSTERS: dict[str, Callable[[], AbstractContextManager[LocalCluster]]] = {
    "dask": dask,
    "ray": ray,
    "spark": spark,
}


def kill_a_worker(cluster: LocalCluster) -> int | None:
    """Send ``kill -9`` to a computing process. Return its id, or None if there is none."""
    for pid in cluster.workers()[-1:]:
        os.kill(pid, signal.SIGKILL)
        return pid
    return None


def _workers(line: bytes) -> list[int]:
    """The processes below this one with ``line`` in the command line, without parent processes."""
    below, found = [os.getpid()], []
    processes = list(_processes())
    while below:
        parent = below.pop()
        children = [(pid, text) for pid, above, text in processes if above == parent]
        below += [pid for pid, _ in children]
        found += [(pid, parent) for pid, text in children if line in text]
    parents = {parent for _, parent in found}
    return [pid for pid, _ in found if pid not in parents]


def _processes() -> Iterator[tuple[int, int, bytes]]:
    """Yield the id, the parent's id and the command line of each process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                yield int(entry.name), parent, (entry / "cmdline").read_bytes()
            except OSError:  # the process has ended
                continue
