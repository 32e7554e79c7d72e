"""``rnvp-score``: the log-density of each row of a table."""

import json
import time
from pathlib import Path
from typing import Literal

import click

from rnvp_runtime.terminal.user_errors import UserErrorCommand


@click.command(cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("table")
@click.option("-o", "--output", help="Default: CSV to stdout.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--nan",
    type=click.Choice(["error", "keep"]),
    default="error",
    show_default=True,
    help="Refuse a table with NaN or empty cells, or give those rows log_prob NaN.",
)
@click.option(
    "--missing",
    metavar="TEXT",
    multiple=True,
    help="Text or number that stands for a missing value, besides NA, NULL and so on. Repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Summary as JSON on stdout; needs -o.")
@click.version_option(package_name="rnvp-deploy")
def score(
    bundle: Path,
    table: str,
    output: str | None,
    threads: int,
    nan: Literal["error", "keep"],
    missing: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add log_prob, in nats, to each row of TABLE.

    TABLE is .csv, .tsv, .parquet, .arrow, .feather, .npy or .npz, or a .csv.gz, .zst or .zip of
    one; a folder or a pattern of such files; a pipe, or - for standard input; or a URI such as
    s3://bucket/key. Columns are found by name, those of the context too; a .npy holds the flow's
    columns in order, then the context's. OUTPUT keeps every column and gains log_prob; a .npy
    output holds log_prob alone, of shape (n,). OUTPUT is written atomically and may be TABLE
    itself.

    \b
    Examples:
      rnvp-score model.rnvp data.csv -o scored.csv
      zcat data.csv.gz | rnvp-score model.rnvp - --missing -999 > scored.csv
    """
    output = None if output == "-" else output
    if as_json and output is None:
        raise click.UsageError("--json needs -o: without it, stdout holds the table")

    from rnvp_runtime.flow import load
    from rnvp_runtime.scoring import score_table
    from rnvp_runtime.tables import (
        behind,
        check_writable,
        open_table,
        open_writer,
        output_format,
        refuse_gaps,
    )
    from rnvp_runtime.terminal.progress import progress_bar

    flow = load(bundle, threads=threads)
    source, advice = open_table(table, missing=missing), "correct them, or pass --nan keep"
    if output is not None:
        check_writable(output)
    batches = score_table(flow, source, into=output_format(output), nan=nan, advice=advice)
    if nan == "error" and output is None:  # what is printed cannot be taken back
        refuse_gaps(source, flow.columns + flow.context_columns, advice)
    total, began, done, scored = 0.0, time.perf_counter(), 0, 0
    with (
        open_writer(output, vector=True, like=source) as writer,
        behind(writer.write) as write,
        progress_bar(source.rows, "Scoring") as advance,
    ):
        for rows in batches:
            write(rows.columns)
            total += rows.finite_sum
            scored += rows.finite
            done += len(rows)
            advance(len(rows))
    seconds = time.perf_counter() - began
    mean = total / scored if scored else None
    if as_json:
        summary = {
            "bundle": flow.manifest.id,
            "rows": done,
            "nan_rows": done - scored,
            "mean_log_prob": mean,
            "unit": "nats",
            "output": output,
            "seconds": round(seconds, 6),
        }
        click.echo(json.dumps(summary, allow_nan=False))
        return
    result = "no row with numbers" if mean is None else f"mean log_prob {mean:.6g} nats"
    skipped = f" ({done - scored:,} rows without one left out)" if done > scored else ""
    click.echo(f"{done:,} rows, {result}{skipped}, {done / seconds:,.0f} rows/s", err=True)
