"""Dask data frames: extra ``dask``."""

from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import Any

from rnvp_runtime.distributed.partitions import OnGaps, Samples, check_columns, log_prob_of
from rnvp_runtime.distributed.worker_flows import BundleForWorkers, flow_of, for_workers
from rnvp_runtime.extras import import_extra

__all__ = ["sample", "sample_parquet", "score", "score_parquet"]


def score(
    frame: Any,
    bundle: str | PathLike[str],
    *,
    nan: OnGaps = "error",
    threads: int = 1,
    send: bool = True,
) -> Any:
    """A Dask data frame with a last column ``log_prob``; nothing is computed yet.

    Args:
        frame: a Dask data frame with the columns of the flow and of its context, in any order.
            Its other columns, its index and its partitions are kept.
        bundle: a path, or the URI of a zip file.
        nan: ``"error"`` raises InputError in the worker for rows with a null, NaN or infinity;
            with ``"keep"`` their log_prob is NaN.
        threads: of each call of the flow. Dask itself computes partitions side by side.
        send: send the bundle's files with the graph; otherwise each worker opens the path.

    Raises:
        InputError: a column is missing, or one is called log_prob.
        BundleError: it is not a bundle.
        MissingExtraError: Dask is not installed.

    Example:
        >>> frame = dask.dataframe.read_parquet("s3://events/2026/")    # doctest: +SKIP
        >>> score(frame, "model.rnvp").to_parquet("s3://scored/2026/")  # doctest: +SKIP
    """
    import_extra("dask.dataframe")
    workers = for_workers(bundle, send=send)
    flow = flow_of(workers, threads)
    check_columns(flow, list(frame.columns), nan)
    empty = frame._meta.assign(log_prob=_series(flow.manifest.dtype))
    return frame.map_partitions(_scored, workers, nan, threads, meta=empty)


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
) -> Any:
    """Rows ``start`` ... ``start + n - 1`` of the samples of ``seed`` as a Dask data frame.

    The rows do not depend on the number of partitions. The index is 0 ... n - 1.

    Args:
        n: number of rows.
        bundle, threads, send: as for `score`.
        seed, start, temperature, log_prob: as for `rnvp_runtime.sample_table`.
        partitions: their number; by default some million rows each.
        context: one row for all samples.

    Raises:
        InputError: an argument does not fit the flow.
        BundleError: it is not a bundle.
        MissingExtraError: Dask is not installed.
    """
    frames, pandas = import_extra("dask.dataframe"), import_extra("pandas")
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
    bounds = samples.bounds
    empty = pandas.DataFrame({name: _series(dtype) for name, dtype in samples.dtypes.items()})
    known = (*bounds[:-1], max(n - 1, 0))
    return frames.from_map(
        _drawn,
        bounds[:-1],
        bounds[1:],
        samples=samples,
        meta=empty,
        divisions=known if len(set(bounds)) == len(bounds) else None,
    )


def _scored(part: Any, workers: BundleForWorkers, nan: OnGaps, threads: int) -> Any:
    return part.assign(log_prob=log_prob_of(part, workers, nan, threads))


def _drawn(low: int, high: int, *, samples: Samples) -> Any:
    pandas = import_extra("pandas")
    return pandas.DataFrame(dict(samples.part(low, high)), index=pandas.RangeIndex(low, high))


def _series(dtype: Any) -> Any:
    return import_extra("pandas").Series([], dtype=dtype)


def score_parquet(
    files: list[str], folder: str, bundle: str, address: str | None, *, nan: OnGaps
) -> None:
    """Score Parquet files into ``folder``; see `rnvp_runtime.distributed.commands`."""
    with _running(address):
        frame = import_extra("dask.dataframe").read_parquet(files, dtype_backend="pyarrow")
        score(frame, bundle, nan=nan).to_parquet(folder, write_index=False)


def sample_parquet(folder: str, n: int, bundle: str, address: str | None, **options: Any) -> None:
    """Draw samples into Parquet files in ``folder``; see `rnvp_runtime.distributed.commands`."""
    with _running(address):
        sample(n, bundle, **options).to_parquet(folder, write_index=False)


def _running(address: str | None) -> AbstractContextManager[Any]:
    """A client of the scheduler at ``address``; by default the threads of this process."""
    if address is None:
        return nullcontext()
    client: AbstractContextManager[Any] = import_extra("distributed").Client(address)
    return client
