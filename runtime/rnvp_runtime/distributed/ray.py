"""Datasets of Ray Data: extra ``ray``."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

from rnvp_runtime.distributed.partitions import OnGaps, Samples, arrow_scored, check_columns
from rnvp_runtime.distributed.worker_flows import BundleForWorkers, flow_of, for_workers
from rnvp_runtime.extras import import_extra

__all__ = ["sample", "sample_parquet", "score", "score_parquet"]

_CPUS_A_WORKER = 0
"""In Ray's accounting. If workers held all CPUs, none would be left for the tasks that read files,
and the job would wait forever. Workers of a failed job live as long as its exception exists."""


def score(
    dataset: Any,
    bundle: str | PathLike[str],
    *,
    nan: OnGaps = "error",
    threads: int = 1,
    send: bool = True,
    workers: int | None = None,
) -> Any:
    """A dataset with a last column ``log_prob``; nothing is computed yet but the schema.

    Each block is scored by one worker. Ray may read many small files as one block: first divide
    such a dataset by ``dataset.repartition(16)``.

    Args:
        dataset: with the columns of the flow and of its context, in any order, and others.
        bundle: a path, or the URI of a zip file.
        nan: ``"error"`` fails the job for rows with a null, NaN or infinity; with ``"keep"`` the
            log_prob is null for a null and NaN for the others.
        threads: of each worker's flow; OMP_NUM_THREADS has no effect.
        send: send the bundle's files; otherwise each worker opens the path.
        workers: processes; by default one for each CPU of the cluster.

    Raises:
        InputError: a column is missing, or one is called log_prob.
        BundleError: it is not a bundle.
        MissingExtraError: Ray is not installed.
    """
    source = for_workers(bundle, send=send)
    flow = flow_of(source, threads)
    names = dataset.columns()  # None for a dataset without blocks
    check_columns(flow, flow.columns + flow.context_columns if names is None else names, nan)
    return dataset.map_batches(
        _Scorer, fn_constructor_args=(source, nan, threads), **_in_workers(workers)
    )


def sample(
    n: int,
    bundle: str | PathLike[str],
    *,
    seed: int | None = None,
    partitions: int | None = None,
    start: int = 0,
    temperature: float = 1.0,
    context: Any = None,
    log_prob: bool = False,
    threads: int = 1,
    send: bool = True,
    workers: int | None = None,
) -> Any:
    """Rows ``start`` ... ``start + n - 1`` of the samples of ``seed`` as a dataset.

    The rows do not depend on the number of partitions. Ray keeps their order only with
    ``ray.data.DataContext.get_current().execution_options.preserve_order = True``.

    Args:
        n: number of rows.
        bundle, threads, send, workers: as for `score`.
        seed, start, temperature, log_prob: as for `rnvp_runtime.sample_table`.
        partitions: their number; by default some million rows each.
        context: one row for all samples.

    Raises:
        InputError: an argument does not fit the flow.
        BundleError: it is not a bundle.
        MissingExtraError: Ray is not installed.
    """
    samples = Samples.planned(
        for_workers(bundle, send=send),
        n,
        seed=seed,
        partitions=partitions,
        start=start,
        temperature=temperature,
        context=context,
        log_prob=log_prob,
        threads=threads,
    )
    parts = len(samples.bounds) - 1
    numbers = import_extra("ray.data").range(parts, override_num_blocks=parts)
    return numbers.map_batches(_Drawer, fn_constructor_args=(samples,), **_in_workers(workers))


class _Scorer:
    """A worker process that scores blocks."""

    def __init__(self, bundle: BundleForWorkers, nan: OnGaps, threads: int) -> None:
        flow_of(bundle, threads)
        self._options = (bundle, nan, threads)

    def __call__(self, table: Any) -> Any:
        return arrow_scored(table, *self._options)


class _Drawer:
    """A worker process that draws the parts whose numbers it gets."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __call__(self, numbers: Any) -> Iterator[Any]:
        arrow, bounds = import_extra("pyarrow"), self._samples.bounds
        for i in numbers["id"].to_pylist():
            for columns in self._samples.rows(bounds[i], bounds[i + 1]):
                yield arrow.table(dict(columns))


def _in_workers(workers: int | None) -> dict[str, Any]:
    """The options of ``map_batches`` for ``workers`` processes that get whole blocks."""
    ray, data = import_extra("ray"), import_extra("ray.data")
    size = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    return {
        "compute": data.ActorPoolStrategy(size=size),
        "num_cpus": _CPUS_A_WORKER,
        "batch_format": "pyarrow",
        "batch_size": None,
        "zero_copy_batch": True,
    }


def score_parquet(
    files: list[str], folder: str, bundle: str, address: str | None, *, nan: OnGaps
) -> None:
    """Score Parquet files into ``folder``; see `rnvp_runtime.distributed.commands`."""
    with _running(address):
        blocks = 2 * max(len(files), int(import_extra("ray").cluster_resources().get("CPU", 1)))
        dataset = import_extra("ray.data").read_parquet(files)
        score(dataset.repartition(blocks), bundle, nan=nan).write_parquet(folder)


def sample_parquet(folder: str, n: int, bundle: str, address: str | None, **options: Any) -> None:
    """Draw samples into Parquet files in ``folder``; see `rnvp_runtime.distributed.commands`."""
    with _running(address):
        sample(n, bundle, **options).write_parquet(folder)


@contextmanager
def _running(address: str | None) -> Iterator[None]:
    """A connection to the cluster at ``address``; by default one on this machine only."""
    ray = import_extra("ray")
    if ray.is_initialized():
        yield
        return
    if address is None:
        ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    else:
        ray.init(address=address)
    try:
        yield
    finally:
        ray.shutdown()
