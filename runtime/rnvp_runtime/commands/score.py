"""``rnvp-score``: the log-density of each row of a table."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnvp_runtime.errors import InputError, TableError
from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnvp_runtime.tables import Batch


@click.command(cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("table", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: CSV to stdout.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--nan",
    type=click.Choice(["error", "keep"]),
    default="error",
    show_default=True,
    help="Refuse a table with NaN or empty cells, or give those rows log_prob NaN.",
)
@click.option("--json", "as_json", is_flag=True, help="Summary as JSON on stdout; needs -o.")
@click.version_option(package_name="rnvp-deploy")
def score(
    bundle: Path, table: Path, output: Path | None, threads: int, nan: str, as_json: bool
) -> None:
    """Add log_prob, in nats, to each row of TABLE.

    TABLE is .csv, .tsv, .parquet, .npy or .npz; columns are found by name, and context columns
    with them (a .npy holds the flow's columns in order, then the context's). OUTPUT keeps every
    column and gains log_prob; a .npy output holds log_prob alone, of shape (n,). It appears only
    when complete, and may be TABLE itself.

    \b
    Example:
      rnvp-score model.rnvp data.csv -o scored.csv
    """
    if as_json and output is None:
        raise click.UsageError("--json needs -o: without it, stdout holds the table")

    import numpy as np

    from rnvp_runtime.flow import load
    from rnvp_runtime.tables import Gaps, check_writable, open_table, open_writer, refuse_gaps
    from rnvp_runtime.terminal.progress import progress_bar

    flow = load(bundle, threads=threads)
    source = open_table(table)
    suffix = ".csv" if output is None else output.suffix.lower()
    if output is not None:
        check_writable(output)
    names = flow.columns + flow.context_columns
    if suffix != ".npy" and "log_prob" in names:
        raise InputError(
            "the flow itself learnt a column called log_prob: write a .npy, which holds only "
            "densities, or train without that column"
        )
    if suffix != ".npy" and "log_prob" in (source.columns or ()):
        raise TableError(f"{table} has a column 'log_prob' already: rename it, or write a .npy")
    refused, gaps, advice = nan == "error", Gaps(), "mend them, or pass --nan keep"
    if refused and output is None:  # what is printed cannot be taken back: look first
        refuse_gaps(source, names, advice)
    total, began, done, scored = 0.0, time.perf_counter(), 0, 0
    with (
        open_writer(output, delimiter=getattr(source, "delimiter", ","), vector=True) as writer,
        progress_bar(source.rows, "Scoring") as advance,
    ):
        for batch in source:
            numbers = batch.numeric(names)
            if refused:
                gaps.note(numbers, batch.first_row)
            log_prob = flow.log_prob(
                numbers[:, : flow.dim], numbers[:, flow.dim :] if flow.context_dim else None
            )
            kept = {} if suffix == ".npy" else _kept(batch, names, numbers, suffix == ".parquet")
            writer.write({**kept, "log_prob": log_prob})
            finite = np.isfinite(log_prob)
            total += float(log_prob[finite].sum(dtype=float))
            scored += int(finite.sum())
            done += len(batch)
            advance(len(batch))
        gaps.refuse(table, advice)
    seconds = time.perf_counter() - began
    mean = total / scored if scored else None
    if as_json:
        summary = {
            "bundle": flow.manifest.id,
            "rows": done,
            "nan_rows": done - scored,
            "mean_log_prob": mean,
            "unit": "nats",
            "output": str(output),
            "seconds": round(seconds, 6),
        }
        click.echo(json.dumps(summary, allow_nan=False))
        return
    said = "no row with numbers" if mean is None else f"mean log_prob {mean:.6g} nats"
    skipped = f" ({done - scored:,} rows without one left out)" if done > scored else ""
    click.echo(f"{done:,} rows, {said}{skipped}, {done / seconds:,.0f} rows/s", err=True)


def _kept(
    batch: "Batch", names: Sequence[str], numbers: "NDArray[np.float64]", typed: bool
) -> Mapping[str, Any]:
    """The columns of ``batch`` to write beside log_prob.

    A table without names gets the flow's. Where the output's columns have types and the input's
    have none (CSV to Parquet), those that the flow reads are numbers and the rest stay text.
    """
    columns = batch.columns()
    read = dict(zip(names, numbers.T, strict=True))
    if not columns:
        return read
    text = any(isinstance(column, list) for column in columns.values())
    return columns | read if typed and text else columns
