"""Data frames of Spark: extra ``spark``, which also needs a Java runtime.

Spark's Python workers are the ``python`` of PATH unless PYSPARK_PYTHON names another: rnvp-deploy,
pyarrow and pandas must be installed there.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from os import PathLike
from typing import Any

from rnvp_runtime.distributed.partitions import (
    OnGaps,
    Samples,
    arrow_scored,
    check_columns,
    log_prob_of,
)
from rnvp_runtime.distributed.worker_flows import BundleForWorkers, flow_of, for_workers
from rnvp_runtime.extras import import_extra

__all__ = ["register", "sample", "sample_parquet", "score", "score_parquet"]


def score(
    frame: Any,
    bundle: str | PathLike[str],
    *,
    nan: OnGaps = "error",
    threads: int = 1,
    send: bool = True,
) -> Any:
    """A Spark data frame with a last column ``log_prob``; nothing is computed yet.

    Args:
        frame: with the columns of the flow and of its context, in any order, and others.
        bundle: a path, or the URI of a zip file.
        nan: ``"error"`` fails the job for rows with a null, NaN or infinity; with ``"keep"`` the
            log_prob is null for a null and NaN for the others.
        threads: of each worker's flow.
        send: send the bundle's files; otherwise each worker opens the path.

    Raises:
        InputError: a column is missing, or one is called log_prob.
        BundleError: it is not a bundle.
        MissingExtraError: PySpark is not installed.
    """
    types = import_extra("pyspark.sql.types")
    workers = for_workers(bundle, send=send)
    flow = flow_of(workers, threads)
    check_columns(flow, frame.columns, nan)
    added = types.StructField("log_prob", _type(flow.manifest.dtype), nan == "keep")
    schema = types.StructType([*frame.schema.fields, added])
    return frame.mapInArrow(partial(_scored, workers, nan, threads), schema)


def sample(
    session: Any,
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
    """Rows ``start`` ... ``start + n - 1`` of the samples of ``seed`` as a Spark data frame.

    The rows do not depend on the number of partitions.

    Args:
        session: a SparkSession.
        n: number of rows.
        bundle, threads, send: as for `score`.
        seed, start, temperature, log_prob: as for `rnvp_runtime.sample_table`.
        partitions: their number; by default some million rows each.
        context: one row for all samples.

    Raises:
        InputError: an argument does not fit the flow.
        BundleError: it is not a bundle.
        MissingExtraError: PySpark is not installed.
    """
    types = import_extra("pyspark.sql.types")
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
    fields = [types.StructField(name, _type(d), False) for name, d in samples.dtypes.items()]
    parts = len(samples.bounds) - 1
    numbers = session.range(0, parts, 1, numPartitions=parts)
    return numbers.mapInArrow(partial(_drawn, samples), types.StructType(fields))


def register(
    session: Any,
    bundle: str | PathLike[str],
    name: str = "rnvp_log_prob",
    *,
    threads: int = 1,
    send: bool = True,
) -> None:
    """Make the density a function of SQL: ``SELECT rnvp_log_prob(a, b, c) FROM events``.

    Its arguments are the flow's columns in order, then the context's. It is NaN where one of them
    is null or NaN.

    Args:
        session: a SparkSession.
        bundle, threads, send: as for `score`.
        name: of the function.

    Raises:
        BundleError: it is not a bundle.
        MissingExtraError: PySpark is not installed.
    """
    functions, pandas = import_extra("pyspark.sql.functions"), import_extra("pandas")
    workers = for_workers(bundle, send=send)
    flow = flow_of(workers, threads)
    names = flow.columns + flow.context_columns

    def log_prob(*columns):  # type: ignore[no-untyped-def]  # its types are set below
        if len(columns) != len(names):
            raise ValueError(f"{name} takes {', '.join(names)}, and got {len(columns)} columns")
        table = import_extra("pandas").DataFrame(dict(zip(names, columns, strict=True)))
        return import_extra("pandas").Series(log_prob_of(table, workers, "keep", threads))

    log_prob.__annotations__ = {"columns": pandas.Series, "return": pandas.Series}
    returns = _type(flow.manifest.dtype)
    session.udf.register(name, functions.pandas_udf(log_prob, returnType=returns))


def _scored(
    bundle: BundleForWorkers, nan: OnGaps, threads: int, batches: Iterator[Any]
) -> Iterator[Any]:
    arrow = import_extra("pyarrow")
    for batch in batches:
        table = arrow_scored(arrow.Table.from_batches([batch]), bundle, nan, threads)
        yield from table.to_batches()


def _drawn(samples: Samples, batches: Iterator[Any]) -> Iterator[Any]:
    arrow, bounds = import_extra("pyarrow"), samples.bounds
    for batch in batches:
        for i in batch.column(0).to_pylist():
            for columns in samples.rows(bounds[i], bounds[i + 1]):
                yield arrow.RecordBatch.from_pydict(dict(columns))


def _type(dtype: Any) -> Any:
    types = import_extra("pyspark.sql.types")
    return types.FloatType() if str(dtype) == "float32" else types.DoubleType()


def score_parquet(
    files: list[str], folder: str, bundle: str, address: str | None, *, nan: OnGaps
) -> None:
    """Score Parquet files into ``folder``; see `rnvp_runtime.distributed.commands`."""
    with _running(address) as session:
        frame = session.read.parquet(*files)
        score(frame, bundle, nan=nan).write.mode("append").parquet(folder)


def sample_parquet(folder: str, n: int, bundle: str, address: str | None, **options: Any) -> None:
    """Draw samples into Parquet files in ``folder``; see `rnvp_runtime.distributed.commands`."""
    with _running(address) as session:
        sample(session, n, bundle, **options).write.mode("append").parquet(folder)


@contextmanager
def _running(address: str | None) -> Iterator[Any]:
    """A session on the master ``address``; by default on this machine, with 4 tries a task."""
    sql = import_extra("pyspark.sql")
    builder = sql.SparkSession.builder.appName("rnvp-deploy")
    builder = builder.master(address or "local[*,4]").config("spark.ui.enabled", "false")
    if address is None:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.driver.host", "127.0.0.1")
    session = builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()
