"""Each file of a folder scored into another folder; finished files are not scored again."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from rnvp_runtime.anomaly_columns import AnomalyColumns
from rnvp_runtime.errors import OutputError, TableError
from rnvp_runtime.flow import Flow
from rnvp_runtime.running_quantiles import RunningQuantiles
from rnvp_runtime.scoring import OnNonfinite, score_table
from rnvp_runtime.shards.job_folder import check_file_format, graph_hash, job_folder
from rnvp_runtime.tables import FORMATS, behind, open_table, open_writer, output_format
from rnvp_runtime.tables.compression import CODECS
from rnvp_runtime.tables.sources import LocalFile, RemoteFile, Source, find_sources

__all__ = ["FolderScores", "score_folder"]


@dataclass(frozen=True)
class FolderScores:
    """The result of a run of `score_folder`."""

    files: int
    finished_before: int  # files that an earlier run had scored
    rows: int  # scored by this run
    finite: int  # of those, rows whose log_prob is neither NaN nor infinite
    finite_sum: float  # of their log_prob
    unlikely: int  # rows that the threshold flags
    quantiles: RunningQuantiles  # of log_prob


@dataclass(frozen=True)
class _File:
    source: str  # what `open_table` opens
    target: Path
    size: int  # bytes, 1 if they are not known

    def is_scored(self) -> bool:
        """Whether the target is complete, and not older than its source."""
        if not self.target.exists():
            return False
        try:
            return self.target.stat().st_mtime_ns >= os.stat(self.source).st_mtime_ns
        except OSError:  # a URI
            return True


def score_folder(
    flow: Flow,
    location: str,
    folder: Path,
    *,
    file_format: str | None = None,
    missing: Iterable[str] = (),
    nan: OnNonfinite = "error",
    advice: str = "correct them, or pass nan='keep'",
    anomalies: AnomalyColumns | None = None,
    name: str = "log_prob",
    progress: Callable[[int, float], None] = lambda rows, share: None,
) -> FolderScores:
    """Score each file of ``location`` into a file of the same name in ``folder``.

    Each file is what ``rnvp-score`` writes for it alone. A file that changed since it was scored is
    scored again.

    Args:
        flow: the density.
        location: a folder or a pattern of tables, also by URI.
        folder: made if it is missing. If it holds a part of the same job, the rest is done.
        file_format: suffix of the files; by default that of each table.
        missing: spellings of a missing value, as for `rnvp_runtime.tables.open_table`.
        nan, advice, anomalies, name: as for `rnvp_runtime.score_table`.
        progress: called with the rows that this run has scored, and the share of its bytes.

    Raises:
        InputError, BundleError: as `rnvp_runtime.score_table` does.
        OutputError: ``folder`` holds another job or other files, is the folder of the tables or
            within it, or another run writes there.
        TableError: a table cannot be read or does not fit the flow. Those before it stay scored.
    """
    suffix = None if file_format is None else check_file_format(file_format)
    added = anomalies or AnomalyColumns()
    files = _files(location, folder, suffix)
    record = {
        "job": "score",
        "bundle": flow.manifest.id,
        "density": graph_hash(flow, "density"),
        "tables": os.path.abspath(location) if "://" not in location else location,
        "format": suffix,
        "missing": sorted(missing),
        "nan": nan,
        "name": name,
        "quantile": added.quantile,
        "threshold": added.threshold,
        "explain": added.explain,
    }
    rows = finite = unlikely = 0
    finite_sum, quantiles = 0.0, RunningQuantiles()
    with job_folder(folder, record):
        to_score = [file for file in files if not file.is_scored()]
        all_bytes, bytes_before = sum(file.size for file in to_score) or 1, 0
        for file in to_score:
            table, in_file = open_table(file.source, missing=missing), 0
            batches = score_table(
                flow,
                table,
                into=output_format(file.target),
                nan=nan,
                advice=advice,
                anomalies=added,
                name=name,
            )
            file.target.parent.mkdir(parents=True, exist_ok=True)
            with (
                open_writer(file.target, vector=True, like=table) as writer,
                behind(writer.write) as write,
            ):
                for batch in batches:
                    write(batch.columns)
                    in_file += len(batch)
                    finite += batch.finite
                    finite_sum += batch.finite_sum
                    unlikely += batch.unlikely
                    quantiles.add(batch.log_prob)
                    of_file = in_file / table.rows if table.rows else 0.0
                    progress(rows + in_file, (bytes_before + file.size * of_file) / all_bytes)
            rows += in_file
            bytes_before += file.size
            progress(rows, bytes_before / all_bytes)
    before = len(files) - len(to_score)
    return FolderScores(len(files), before, rows, finite, finite_sum, unlikely, quantiles)


def _files(location: str, folder: Path, suffix: str | None) -> list[_File]:
    """The tables of ``location``, each with the file that it is scored into."""
    sources, are_parts = find_sources(location)
    if not are_parts:
        raise TableError(
            f"{location} is one table: give a file for the output, or a folder of tables"
        )
    paths = [_path_of(source) for source in sources]
    above = os.path.commonpath([path.parent for path in paths])
    if Path(folder).resolve().is_relative_to(Path(above).resolve()):
        raise OutputError(f"{folder} is within {above}, which holds the tables: name another")
    files, taken = [], dict[Path, str]()
    for source, path in zip(sources, paths, strict=True):
        target = folder / _named(path.relative_to(above), suffix)
        if target in taken:
            raise TableError(
                f"{source.name} and {taken[target]} would both be {target}: rename one"
            )
        taken[target] = source.name
        size = source.path.stat().st_size if isinstance(source, LocalFile) else 1
        files.append(_File(source.name, target, size))
    return files


def _path_of(source: Source) -> PurePath:
    return PurePosixPath(source.key) if isinstance(source, RemoteFile) else Path(source.name)


def _named(path: PurePath, suffix: str | None) -> PurePath:
    """The name of the scored file: that of the table, with ``suffix`` in place of its own."""
    if suffix is None:
        try:
            output_format(path)
        except TableError as error:
            raise TableError(f"{error}; or choose --format for all") from None
        return path
    stem = path.with_suffix("") if path.suffix.lower() in CODECS else path
    stem = stem.with_suffix("") if stem.suffix.lower() in FORMATS else stem
    return stem.with_name(stem.name + suffix)
