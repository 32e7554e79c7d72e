"""``rnvp-sample``: draw rows from a flow into a table."""

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnvp_runtime.terminal.user_errors import UserErrorCommand
from rnvp_runtime.terminal.whole_number import WholeNumber

if TYPE_CHECKING:
    from rnvp_runtime.sampling import SampledRows


@click.command(cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-n", "rows", type=WholeNumber(min=0), help="Rows to draw, such as 1e9.")
@click.option("--seed", type=int, help="Any 64-bit number; the same seed gives the same rows.")
@click.option("--start", type=click.IntRange(min=0), default=0, help="First row of the stream.")
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option("-o", "--output", help="Default: CSV to stdout.")
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option(
    "--context",
    metavar="A=1,B=2",
    help="Condition of the rows; a grid, such as A=10:200:20 (20 values, 10 to 200), draws -n rows "
    "for each of its points.",
)
@click.option(
    "--context-from",
    metavar="TABLE",
    help="Draw one row for each row of TABLE, with its context columns; instead of -n.",
)
@click.option(
    "--missing",
    metavar="TEXT",
    multiple=True,
    help="Text or number that stands for a missing value in TABLE. Repeatable.",
)
@click.option("--log-prob", is_flag=True, help="Add the log-density, in nats, as a last column.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--shards",
    type=WholeNumber(min=1),
    help="Write so many files into the folder OUTPUT. Given again, the command does the rest.",
)
@click.option("--format", "file_format", help="Of the shards: csv (default), parquet, csv.gz, ...")
@click.option(
    "--cluster",
    type=click.Choice(["dask", "ray", "spark"]),
    help="Draw on a cluster into a new folder OUTPUT of Parquet files, --shards of them.",
)
@click.option("--address", help="Of the cluster, in its own notation. Default: this machine.")
@click.option("--json", "as_json", is_flag=True, help="Summary as JSON on stdout; needs -o.")
@click.version_option(package_name="rnvp-deploy")
def sample(
    bundle: Path,
    rows: int | None,
    seed: int | None,
    start: int,
    temperature: float,
    output: str | None,
    force: bool,
    context: str | None,
    context_from: str | None,
    missing: tuple[str, ...],
    log_prob: bool,
    threads: int,
    shards: int | None,
    file_format: str | None,
    cluster: str | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Draw rows from the flow in BUNDLE.

    Row i of a given seed is always the same row, so that --start can divide a long job or resume
    it. OUTPUT is .csv, .tsv, .parquet, .arrow or .npy, and is written atomically.
    TABLE is any table that rnvp-score reads. The conditions are columns of OUTPUT, so that
    rnvp-score can read it.

    With --shards OUTPUT is a folder. Its files, one after the other, hold the same rows for any
    number of shards. After an interruption the same command draws the shards that are missing.

    \b
    Examples:
      rnvp-sample model.rnvp -n 100000 --seed 7 -o samples.csv
      rnvp-sample model.rnvp -n 1000 --context energy=10:200:20,theta=0.5 -o scan.csv
      rnvp-sample model.rnvp -n 1e9 --seed 7 -o samples/ --shards 1000 --format parquet
    """
    if (rows is None) == (context_from is None):
        raise click.UsageError("give the number of rows, -n, or --context-from TABLE, not both")
    if context is not None and context_from is not None:
        raise click.UsageError("give --context or --context-from, not both")
    output = None if output == "-" else output
    if as_json and output is None:
        raise click.UsageError("--json needs -o: without it, stdout holds the table")
    if shards is not None and (rows is None or output is None):
        raise click.UsageError("--shards needs -n and -o FOLDER")
    if cluster is not None and (rows is None or output is None or file_format or as_json):
        raise click.UsageError("--cluster needs -n and -o FOLDER, and no --format and --json")
    if address is not None and cluster is None:
        raise click.UsageError("--address is that of a --cluster")
    if shards is None and file_format is not None:
        raise click.UsageError("--format is for --shards: one file is named by its suffix")

    from rnvp_runtime.flow import load
    from rnvp_runtime.outputs import check_output
    from rnvp_runtime.sampling import sample_table
    from rnvp_runtime.stream import fresh_seed
    from rnvp_runtime.tables import behind, check_writable, estimate_rows, open_table, open_writer
    from rnvp_runtime.terminal.conditions import notes_on_range, parse_condition, parse_conditions
    from rnvp_runtime.terminal.progress import progress_bar

    if cluster is not None and rows is not None and output is not None:
        from rnvp_runtime.bundle.manifest import Manifest
        from rnvp_runtime.distributed.commands import sample_on_cluster

        sample_on_cluster(
            cluster,
            address,
            str(bundle),
            output,
            rows,
            seed=seed,
            partitions=shards,
            start=start,
            temperature=temperature,
            context=parse_condition(context, Manifest.read(bundle)),
            log_prob=log_prob,
            threads=threads,
        )
        return
    flow = load(bundle, threads=threads)
    if shards is not None and rows is not None and output is not None:
        from rnvp_runtime.shards.commands import sample_to_folder

        sample_to_folder(
            flow,
            output,
            rows,
            shards,
            file_format=file_format,
            as_json=as_json,
            seed=seed,
            start=start,
            temperature=temperature,
            context=parse_condition(context, flow.manifest),
            log_prob=log_prob,
        )
        return
    if output is not None:
        check_writable(output)
        inputs: list[str | Path] = [bundle, *([context_from] if context_from else [])]
        check_output(output, "table", inputs=inputs, force=force)
    seed = fresh_seed() if seed is None else seed
    draw = partial(sample_table, flow, seed=seed, temperature=temperature, log_prob=log_prob)
    batches: Iterator[SampledRows]
    if context_from is None:
        table, each = None, rows or 0
        points = parse_conditions(context, flow.manifest)
        conditions = [None] if points is None else list(points)
        total: int | None = each * len(conditions)
        batches = chain.from_iterable(
            draw(each, start=start + i * each, context=condition)
            for i, condition in enumerate(conditions)
        )
        _warn({} if points is None else notes_on_range(flow.manifest, points))
    else:
        table = open_table(context_from, missing=missing)
        total = table.rows or estimate_rows(context_from)
        batches = draw(context_from=table, start=start)
    began, done = time.perf_counter(), 0
    outside: dict[str, str] = {}
    with (
        open_writer(output, replace=force) as writer,
        behind(writer.write) as write,
        progress_bar(
            total, "Sampling", estimated=table is not None and table.rows is None
        ) as advance,
    ):
        for drawn in batches:
            write(drawn.columns)
            done += len(drawn)
            if table is not None and drawn.context is not None:
                outside = notes_on_range(flow.manifest, drawn.context) | outside
            advance(len(drawn))
    _warn(outside)
    seconds = time.perf_counter() - began
    if as_json:
        summary = {
            "bundle": flow.manifest.id,
            "rows": done,
            "seed": seed,
            "start": start,
            "temperature": temperature,
            "output": output,
            "seconds": round(seconds, 6),
        }
        click.echo(json.dumps(summary))
    else:
        rate = f"{done / seconds:,.0f} rows/s"
        click.echo(f"{done:,} rows from {start:,}, seed {seed}, {rate}", err=True)


def _warn(notes: Mapping[str, str]) -> None:
    for note in notes.values():
        click.echo(f"Warning: {note}", err=True)
