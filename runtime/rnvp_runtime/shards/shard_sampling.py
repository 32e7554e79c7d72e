"""Samples of a flow in many files, of which those that exist already are not drawn again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from rnvp_runtime.errors import InputError
from rnvp_runtime.flow import Flow
from rnvp_runtime.sampling import SampledRows
from rnvp_runtime.shards.job_folder import check_file_format, graph_hash, job_folder, read_record
from rnvp_runtime.stream import fresh_seed, signed_seed
from rnvp_runtime.stream_parts import cut_rows, part_bounds, sample_part
from rnvp_runtime.tables import behind, open_writer

__all__ = ["SampledShards", "sample_shards"]


@dataclass(frozen=True)
class SampledShards:
    """The result of a run of `sample_shards`."""

    seed: int
    shards: int
    finished_before: int  # shards that an earlier run had written
    rows: int  # drawn by this run


def sample_shards(
    flow: Flow,
    folder: Path,
    n: int,
    shards: int,
    *,
    file_format: str = "csv",
    seed: int | None = None,
    start: int = 0,
    temperature: float = 1.0,
    context: list[list[float]] | None = None,
    log_prob: bool = False,
    progress: Callable[[int, int], None] = lambda done, all_rows: None,
) -> SampledShards:
    """Write the rows of ``sample_table(flow, n, ...)`` to ``folder/part-00000.csv`` and so on.

    The files one after the other hold the same bytes of data for any number of shards, threads and
    interruptions, on the same machine.

    Args:
        flow: what to sample.
        folder: made if it is missing. If it holds a part of the same job, the rest is done.
        n: number of rows, at least ``shards``.
        shards: number of files.
        file_format: suffix of the files.
        seed: by default that of the job in ``folder``, or else one from the system's entropy.
        start, temperature, log_prob: as for `rnvp_runtime.sample_table`.
        context: one row for all samples.
        progress: called with the rows that this run has drawn and those that it is to draw.

    Raises:
        InputError: an argument does not fit the flow, or there are more shards than rows.
        OutputError: ``folder`` holds another job, other files, or another run writes there.
        TableError: files cannot be written in this format.
    """
    if not 1 <= shards <= n:
        raise InputError(f"{shards} shards of {n} rows: each shard has at least one row")
    suffix = check_file_format(file_format)
    if seed is None:
        seed = (read_record(folder) or {}).get("seed", fresh_seed())
    options: dict[str, Any] = {
        "seed": signed_seed(seed),
        "start": start,
        "temperature": temperature,
        "context": context,
        "log_prob": log_prob,
    }
    next(sample_part(flow, 0, 0, n, **options))  # refuses what does not fit the flow
    record = {
        "job": "sample",
        "bundle": flow.manifest.id,
        "sampler": graph_hash(flow, "sampler"),
        "rows": n,
        "shards": shards,
        "format": suffix,
        **options,
    }
    bounds, digits = part_bounds(n, shards), max(5, len(str(shards - 1)))
    targets = [folder / f"part-{i:0{digits}}{suffix}" for i in range(shards)]
    with job_folder(folder, record):
        missing = [i for i, target in enumerate(targets) if not target.exists()]
        to_draw, done = sum(bounds[i + 1] - bounds[i] for i in missing), 0
        for first, end in _runs(missing):
            rows = sample_part(flow, bounds[first], bounds[end], n, **options)
            for shard, pieces in groupby(_by_shard(rows, bounds, first, start), itemgetter(0)):
                with open_writer(targets[shard]) as writer, behind(writer.write) as write:
                    for _, piece in pieces:
                        write(piece.columns)
                        done += len(piece)
                        progress(done, to_draw)
    return SampledShards(seed, shards, shards - len(missing), to_draw)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, end) of each run of consecutive numbers: 1 2 3 7 gives (1, 4) and (7, 8)."""
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1] + 1


def _by_shard(
    batches: Iterable[SampledRows], bounds: list[int], shard: int, start: int
) -> Iterator[tuple[int, SampledRows]]:
    """Each batch cut where a shard ends, with the number of its shard; the first is ``shard``."""
    for batch in batches:
        at = 0
        while at < len(batch):
            row = batch.first_row - start + at
            while bounds[shard + 1] <= row:
                shard += 1
            end = min(len(batch), at + bounds[shard + 1] - row)
            yield shard, cut_rows(batch, at, end)
            at = end
