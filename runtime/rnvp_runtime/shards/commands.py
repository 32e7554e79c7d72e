"""What ``rnvp-sample --shards`` and ``rnvp-score FOLDER -o FOLDER`` do and print."""

import json
import time
from pathlib import Path
from typing import Any

import click

from rnvp_runtime.anomaly_columns import AnomalyColumns
from rnvp_runtime.flow import Flow
from rnvp_runtime.scoring import OnNonfinite
from rnvp_runtime.shards.folder_scoring import score_folder
from rnvp_runtime.shards.shard_sampling import sample_shards
from rnvp_runtime.tables import FORMATS
from rnvp_runtime.terminal.job_progress import job_progress

__all__ = ["sample_to_folder", "score_to_folder"]


def sample_to_folder(
    flow: Flow,
    output: str,
    rows: int,
    shards: int,
    *,
    file_format: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw the shards that are missing, and say what was done.

    Args:
        flow, rows, shards, options: as for `sample_shards`.
        output: the folder.
        file_format: suffix of the files; None is csv.
        as_json: print the summary as JSON on standard output.
    """
    if not output:
        raise click.UsageError("-o is empty: name the folder")
    if Path(output).suffix.lower() in FORMATS and not Path(output).is_dir():
        raise click.UsageError(f"--shards writes a folder, and -o names the file {output}")
    began = time.perf_counter()
    with job_progress("Sampling") as report:
        result = sample_shards(
            flow,
            Path(output),
            rows,
            shards,
            file_format=file_format or "csv",
            progress=lambda done, of: report(done, done / max(of, 1)),
            **options,
        )
    seconds = time.perf_counter() - began
    if as_json:
        summary = {
            "bundle": flow.manifest.id,
            "rows": rows,
            "rows_now": result.rows,
            "shards": shards,
            "finished_before": result.finished_before,
            "seed": result.seed,
            "start": options.get("start", 0),
            "temperature": options.get("temperature", 1.0),
            "output": output,
            "seconds": round(seconds, 6),
        }
        click.echo(json.dumps(summary))
        return
    click.echo(
        f"{rows:,} rows in {shards:,} shards, seed {result.seed}; "
        f"{result.finished_before:,} shards were there already; "
        f"{result.rows:,} rows drawn, {result.rows / seconds:,.0f} rows/s",
        err=True,
    )


def score_to_folder(
    flow: Flow,
    location: str,
    output: str,
    *,
    file_format: str | None,
    missing: tuple[str, ...],
    nan: OnNonfinite,
    advice: str,
    anomalies: AnomalyColumns,
    name: str,
    levels: tuple[float, ...],
    as_json: bool,
) -> None:
    """Score the files that are missing, and say what was done.

    Args:
        flow, location, file_format, missing, nan, advice, anomalies, name: as for `score_folder`.
        output: the folder.
        levels: of the quantiles of log_prob in the summary.
        as_json: print the summary as JSON on standard output.
    """
    began = time.perf_counter()
    with job_progress("Scoring") as report:
        result = score_folder(
            flow,
            location,
            Path(output),
            file_format=file_format,
            missing=missing,
            nan=nan,
            advice=advice,
            anomalies=anomalies,
            name=name,
            progress=report,
        )
    seconds = time.perf_counter() - began
    found = result.quantiles.at(levels)
    if as_json:
        summary = {
            "bundle": flow.manifest.id,
            "files": result.files,
            "finished_before": result.finished_before,
            "rows_now": result.rows,
            "nan_rows_now": result.rows - result.finite,
            "mean_log_prob_now": result.finite_sum / result.finite if result.finite else None,
            "log_prob_quantiles_now": found and dict(zip(map(str, levels), found, strict=True)),
            "unlikely_rows_now": None if anomalies.threshold is None else result.unlikely,
            "unit": "nats",
            "output": output,
            "seconds": round(seconds, 6),
        }
        click.echo(json.dumps(summary, allow_nan=False))
        return
    click.echo(
        f"{result.files:,} files; {result.finished_before:,} were scored already; "
        f"{result.rows:,} rows scored, {result.rows / seconds:,.0f} rows/s",
        err=True,
    )
    if anomalies.threshold is not None:
        click.echo(
            f"{result.unlikely:,} of these rows are unlikely (threshold {anomalies.threshold:g})",
            err=True,
        )
