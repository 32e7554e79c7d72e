"""What ``rnvp-score --cluster`` and ``rnvp-sample --cluster`` do: Parquet files in and out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rnvp_runtime.distributed.partitions import OnGaps
from rnvp_runtime.errors import TableError
from rnvp_runtime.publishing import publish_folder
from rnvp_runtime.tables.sources import LocalFile, find_sources

__all__ = ["sample_on_cluster", "score_on_cluster"]


def score_on_cluster(
    cluster: str, address: str | None, bundle: str, location: str, output: str, *, nan: OnGaps
) -> None:
    """Score the Parquet files at ``location`` into the folder ``output``.

    Args:
        cluster: ``"dask"``, ``"ray"`` or ``"spark"``.
        address: where it runs, in its own notation; None is this machine.
        bundle: a path, or the URI of a zip file.
        location: a file, a folder or a pattern, also by URI.
        output: a folder that does not exist; a local one appears when it is complete.
        nan: as for the engine's ``score``.

    Raises:
        InputError, BundleError: as the engine's ``score`` does.
        OutputError: ``output`` exists.
        TableError: a file is not Parquet.
    """
    files = _parquet_files(location)
    with _new_folder(output) as folder:
        _engine(cluster).score_parquet(files, folder, bundle, address, nan=nan)


def sample_on_cluster(
    cluster: str, address: str | None, bundle: str, output: str, n: int, **options: Any
) -> None:
    """Draw ``n`` rows into Parquet files in the folder ``output``.

    Args:
        cluster, address, bundle, output: as for `score_on_cluster`.
        n: number of rows.
        options: of the engine's ``sample``.

    Raises:
        InputError, BundleError: as the engine's ``sample`` does.
        OutputError: ``output`` exists.
    """
    with _new_folder(output) as folder:
        _engine(cluster).sample_parquet(folder, n, bundle, address, **options)


def _engine(cluster: str) -> Any:
    return import_module(f"rnvp_runtime.distributed.{cluster}")


def _parquet_files(location: str) -> list[str]:
    sources, _ = find_sources(location)
    names = [
        os.path.abspath(source.name) if isinstance(source, LocalFile) else source.name
        for source in sources
    ]
    if other := [name for name in names if not name.lower().endswith((".parquet", ".pq"))]:
        raise TableError(
            f"{other[0]} is not called .parquet: a cluster reads Parquet; score it without "
            "--cluster, or write it as Parquet"
        )
    return names


@contextmanager
def _new_folder(output: str) -> Iterator[str]:
    """The folder to write, which appears when it is complete; a URI is written directly."""
    if "://" in output:
        yield output
        return
    with publish_folder(output, force=False, is_ours=lambda path: False) as folder:
        yield str(folder)
