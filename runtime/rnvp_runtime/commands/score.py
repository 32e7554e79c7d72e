"""``rnvp-score``: the log-density of each row of a table."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnvp_runtime.terminal.missing_option import missing_option
from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    from rnvp_runtime.bundle.manifest import Reference
    from rnvp_runtime.scoring import OnNonfinite

_LEVELS = (0.001, 0.01, 0.1, 0.5, 0.9)
_FEWEST_BELOW = 10


class Share(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no parameter
    """A share of rows: ``0.1%`` or ``0.001``."""

    name = "share"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The share as a number between 0 and 1."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 < share < 1:
            self.fail(f"{value!r} is no share of rows: write 0.1% or 0.001", param, ctx)
        return share


@click.command(cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("table")
@click.option("-o", "--output", help="Default: CSV to stdout.")
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists and is not TABLE.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--on-nonfinite",
    "--nan",
    "nan",
    type=click.Choice(["error", "keep", "drop"]),
    default="error",
    show_default=True,
    help="Rows with NaN, infinity or empty cells: refuse the table, score them, or leave them out.",
)
@missing_option
@click.option(
    "--quantile", is_flag=True, help="Add quantile, the share of reference rows less likely."
)
@click.option(
    "--threshold",
    type=Share(),
    help="Add unlikely, 1 for rows less likely than this share of the reference rows: 0.1%.",
)
@click.option(
    "--explain",
    "explained",
    is_flag=True,
    help="Add the columns that make a row unlikely; with --threshold, of the flagged rows only.",
)
@click.option(
    "--as",
    "name",
    metavar="NAME",
    default="log_prob",
    show_default=True,
    help="Name of the added column of log_prob.",
)
@click.option(
    "--format",
    "file_format",
    help="Of the files in a folder OUTPUT: parquet, csv, ...; by default that of each table.",
)
@click.option(
    "--cluster",
    type=click.Choice(["dask", "ray", "spark"]),
    help="Score Parquet files on a cluster into a new folder OUTPUT.",
)
@click.option("--address", help="Of the cluster, in its own notation. Default: this machine.")
@click.option("--json", "as_json", is_flag=True, help="Summary as JSON on stdout; needs -o.")
@click.version_option(package_name="rnvp-deploy")
def score(
    bundle: Path,
    table: str,
    output: str | None,
    force: bool,
    threads: int,
    nan: "OnNonfinite",
    missing: tuple[str, ...],
    quantile: bool,
    threshold: float | None,
    explained: bool,
    name: str,
    file_format: str | None,
    cluster: str | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Add log_prob, in nats, to each row of TABLE.

    TABLE is .csv, .tsv, .parquet, .arrow, .feather, .npy or .npz, or a .csv.gz, .zst or .zip of
    one; a folder or a pattern of such files; a pipe, or - for standard input; or a URI such as
    s3://bucket/key. Columns are found by name, those of the context too; a .npy holds the flow's
    columns in order, then the context's. OUTPUT keeps every column and gains log_prob; a .npy
    output holds log_prob alone, of shape (n,). OUTPUT is written atomically and may be TABLE
    itself.

    If TABLE is a folder or a pattern, and OUTPUT a folder or a name with a slash at the end, each
    file is scored into a file of the same name. After an interruption the same command scores the
    files that are missing, and later those that are new or were changed.

    The reference rows are the held-out rows of the training, or samples of the flow; the bundle
    holds quantiles of their log_prob. --explain measures each column by the nats that log_prob
    rises if that column alone takes its most likely value.

    \b
    Examples:
      rnvp-score model.rnvp data.csv -o scored.csv
      zcat data.csv.gz | rnvp-score model.rnvp - --missing -999 > scored.csv
      rnvp-score model.rnvp data.csv -o scored.csv --threshold 0.1% --explain
      rnvp-score model.rnvp year/ -o scored/
    """
    output = None if output == "-" else output
    if as_json and output is None:
        raise click.UsageError("--json needs -o: without it, stdout holds the table")
    others = (file_format, missing, quantile, threshold, explained, as_json)
    if cluster is not None and (output is None or any(others)):
        raise click.UsageError(
            "--cluster needs -o FOLDER, and takes no --format, --missing, --quantile, --threshold, "
            "--explain and --json"
        )
    if address is not None and cluster is None:
        raise click.UsageError("--address is that of a --cluster")
    if cluster is not None and (nan == "drop" or name != "log_prob"):
        raise click.UsageError("--cluster takes no --as, and --on-nonfinite error or keep")
    if cluster is not None and output is not None and nan != "drop":
        from rnvp_runtime.distributed.commands import score_on_cluster

        score_on_cluster(cluster, address, str(bundle), table, output, nan=nan)
        return

    from rnvp_runtime.anomaly_columns import AnomalyColumns
    from rnvp_runtime.engines.default import DEFAULT_ENGINE
    from rnvp_runtime.flow import load
    from rnvp_runtime.outputs import check_output, is_same_file
    from rnvp_runtime.running_quantiles import RunningQuantiles
    from rnvp_runtime.scoring import score_table
    from rnvp_runtime.tables import (
        behind,
        check_writable,
        estimate_rows,
        open_table,
        open_writer,
        output_format,
        refuse_gaps,
    )
    from rnvp_runtime.terminal.progress import progress_bar

    advice = "correct them, or pass --on-nonfinite keep, or drop"
    anomalies = AnomalyColumns(quantile, threshold, explained)
    # One engine for all batches: a row's bits do not depend on how many rows the last batch has.
    if output is not None and (output.endswith(("/", os.sep)) or os.path.isdir(output)):
        from rnvp_runtime.shards.commands import score_to_folder

        score_to_folder(
            load(bundle, threads=threads, engine=DEFAULT_ENGINE),
            table,
            output,
            file_format=file_format,
            missing=missing,
            nan=nan,
            advice=advice,
            anomalies=anomalies,
            name=name,
            levels=_LEVELS,
            as_json=as_json,
        )
        return
    if file_format is not None:
        raise click.UsageError("--format is for a folder: one file is named by its suffix")
    if output is not None:
        check_writable(output)
        in_place = is_same_file(output, table)
        force = force or in_place
        inputs: list[str | Path] = [bundle, *([] if in_place else [table])]
        check_output(output, "table", inputs=inputs, force=force)
    flow = load(bundle, threads=threads, engine=DEFAULT_ENGINE)
    source = open_table(table, missing=missing)
    batches = score_table(
        flow,
        source,
        into=output_format(output),
        nan=nan,
        advice=advice,
        anomalies=anomalies,
        name=name,
    )
    if note := _note(flow.manifest.reference, threshold):
        click.echo(note, err=True)
    if nan == "error" and output is None:  # what is printed cannot be taken back
        names = flow.columns + flow.context_columns
        refuse_gaps(source, names, advice, flow.manifest.dtype)
    total, began, done, scored, unlikely, dropped = 0.0, time.perf_counter(), 0, 0, 0, 0
    quantiles = RunningQuantiles()
    with (
        open_writer(output, vector=True, like=source, replace=force) as writer,
        behind(writer.write) as write,
        progress_bar(
            source.rows or estimate_rows(table), "Scoring", estimated=source.rows is None
        ) as advance,
    ):
        for rows in batches:
            write(rows.columns)
            total += rows.finite_sum
            scored += rows.finite
            unlikely += rows.unlikely
            quantiles.add(rows.log_prob)
            done += len(rows)
            dropped += rows.dropped
            advance(len(rows) + rows.dropped)
    seconds = time.perf_counter() - began
    mean = total / scored if scored else None
    found = quantiles.at(_LEVELS)
    if as_json:
        summary = {
            "bundle": flow.manifest.id,
            "rows": done,
            "nan_rows": done - scored,
            "dropped_rows": dropped,
            "mean_log_prob": mean,
            "log_prob_quantiles": found and dict(zip(map(str, _LEVELS), found, strict=True)),
            "unlikely_rows": None if threshold is None else unlikely,
            "unit": "nats",
            "output": output,
            "seconds": round(seconds, 6),
        }
        click.echo(json.dumps(summary, allow_nan=False))
        return
    skipped = f" ({done - scored:,} rows without one not counted)" if done > scored else ""
    skipped += f" ({dropped:,} rows with gaps dropped)" if dropped else ""
    click.echo(f"{done:,} rows{skipped}, {done / seconds:,.0f} rows/s; {_told(found)}", err=True)
    if threshold is not None:
        share = f"{unlikely / done:.3g} of all" if done else "none"
        click.echo(f"{unlikely:,} rows are unlikely ({share}; threshold {threshold:g})", err=True)


def _told(quantiles: list[float] | None) -> str:
    """The quantiles of log_prob in words."""
    if quantiles is None:
        return "no row with numbers"
    lowest, low, tenth, median, ninetieth = (f"{value:.6g}" for value in quantiles)
    return (
        f"log_prob: median {median} nats, 80 % of rows {tenth} … {ninetieth}, 1 % below {low}, "
        f"0.1 % below {lowest}"
    )


def _note(reference: "Reference | None", threshold: float | None) -> str | None:
    """A warning where the reference has too few rows for the threshold."""
    if reference is None or threshold is None or threshold * reference.rows >= _FEWEST_BELOW:
        return None
    return (
        f"note: {threshold:g} of the {reference.rows:,} reference rows ({reference.source}) are "
        f"{threshold * reference.rows:.2g} rows, so the threshold is uncertain"
    )
