"""``rnvp-train``: train a flow on a table and write a checkpoint."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnvp_deploy.commands.option_types import (
    WholeNumber,
    column_names,
    layer_widths,
    scale_function,
)
from rnvp_deploy.commands.training_output import print_result, result_as_json
from rnvp_deploy.commands.training_table import matching_columns, read_training_table
from rnvp_runtime.outputs import check_output
from rnvp_runtime.terminal.missing_option import missing_option
from rnvp_runtime.terminal.printable import printable
from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    from rnvp_deploy.flow import RNVP

_FLOW = ("couplings", "hidden", "mixing", "actnorm", "scale", "activation", "residual", "joint")
_MAPS = ("log", "logit", "integer")
_TRAINING = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "held_out": "held_out",
    "patience": "patience",
    "seed": "seed",
    "max_seconds": "max_seconds",
    "keep_rows": "keep_rows",
}


@click.command(cls=UserErrorCommand)
@click.argument("table")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The checkpoint: model.pt.")
@click.option(
    "--columns",
    type=column_names,
    metavar="A,B",
    help="Columns to learn, by name or pattern: 'a,mean *'. Default: all numeric ones.",
)
@click.option(
    "--context",
    type=column_names,
    metavar="A,B",
    help="Columns to condition on: learn p(columns | context).",
)
@click.option(
    "--exclude",
    type=column_names,
    metavar="A,B",
    help="Columns to leave out.",
)
@missing_option
@click.option(
    "--log",
    type=column_names,
    metavar="A,B",
    help="Columns of values above 0: the flow learns their logarithms.",
)
@click.option(
    "--logit",
    type=column_names,
    metavar="A,B",
    help="Columns of values above 0 and below 1: the flow learns their logits.",
)
@click.option(
    "--integer",
    type=column_names,
    metavar="A,B",
    help="Columns of integers: noise is added in training, and samples are integers.",
)
@click.option("--couplings", type=WholeNumber(min=1), help="Number of couplings.  [default: 8]")
@click.option(
    "--hidden", type=layer_widths, metavar="N,N", help="Widths of hidden layers.  [default: 64,64]"
)
@click.option(
    "--mixing",
    type=click.Choice(["swap", "permute", "lu"]),
    help="How coordinates change roles between couplings.  [default: swap]",
)
@click.option(
    "--actnorm", is_flag=True, default=None, help="A trainable affine layer before each coupling."
)
@click.option("--scale", help="Scale function: tanh, tanh:2 (bound), exp, ...  [default: tanh]")
@click.option("--activation", help="Activation function.  [default: relu]")
@click.option("--residual", is_flag=True, default=None, help="Use residual networks.")
@click.option(
    "--joint/--separate",
    default=None,
    help="σ and μ from one network or from two.  [default: joint]",
)
@click.option(
    "--dtype",
    type=click.Choice(("float32", "float64")),
    help="Of the weights; float64 resolves small differences far from 0.  [default: float32]",
)
@click.option("--epochs", type=WholeNumber(min=1), help="Default: depends on the number of rows.")
@click.option(
    "--batch-size", type=WholeNumber(min=1), help="Default: depends on the number of rows."
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help="Highest learning rate.  [default: 0.005]",
)
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Fraction of rows that are scored and not trained on.  [default: 0.1]",
)
@click.option(
    "--patience",
    type=WholeNumber(min=1),
    help="Stop after this many epochs without a better score.",
)
@click.option(
    "--seed", type=WholeNumber(0, 2**64 - 1), help="Seed of all randomness.  [default: 0]"
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after the epoch during which this time has passed.",
)
@click.option(
    "--keep-rows",
    type=WholeNumber(min=0),
    help="Held-out rows to keep in the checkpoint for its report; 0: none.  [default: 500]",
)
@click.option(
    "--threads", type=WholeNumber(min=1), default=1, show_default=True, help="CPU threads."
)
@click.option(
    "--resume", type=click.Path(path_type=Path), help="Continue the training in this checkpoint."
)
@click.option(
    "--warm-start",
    type=click.Path(path_type=Path),
    help="Train the flow in this checkpoint further on the rows of TABLE.",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def train(
    table: str,
    output: Path | None,
    columns: tuple[str, ...] | None,
    context: tuple[str, ...] | None,
    exclude: tuple[str, ...] | None,
    missing: tuple[str, ...],
    threads: int,
    resume: Path | None,
    warm_start: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a flow on the rows of TABLE and write it to OUTPUT.

    TABLE is any table that rnvp-score reads, such as .csv, .parquet, .csv.gz or a folder. Losses
    are in nats a row; lower is better. Some rows are held out, and the weights that score best on
    them are kept. The same table, options, seed and thread count give the same checkpoint, byte
    for byte.

    Ctrl-C writes the best weights so far (exit code 130). --resume model.pt continues from there
    and writes the same checkpoint as an uninterrupted training.

    \b
    Examples:
      rnvp-train diamonds.csv -o model.pt --columns carat,price --context depth
      rnvp-train shop.csv -o model.pt --log price --logit share --integer n_hits
      rnvp-train new.csv --warm-start model.pt -o new.pt
    """
    given = {name: value for name, value in options.items() if value is not None}
    if output is None:
        if resume is None:
            raise click.UsageError("no output was given: add -o model.pt")
        output = resume
    _refuse_fixed_options(given, columns or context or exclude, resume, warm_start)
    inputs: list[str | Path] = [table, *([warm_start] if warm_start else [])]
    if resume is not None and resume != output:  # in place is how a training is resumed
        inputs.append(resume)
    check_output(output, "checkpoint", inputs=inputs, force=force or output == resume)

    import torch

    from rnvp_deploy.checkpoint import load, read, save
    from rnvp_deploy.errors import TrainingError
    from rnvp_deploy.training import TrainingOptions, fit, recorded_options
    from rnvp_deploy.training.table import refuse_gaps

    # On networks of the default size one thread is as fast as two, and far faster on shared cores.
    torch.set_num_threads(threads)
    chosen = {_TRAINING[name]: given[name] for name in _TRAINING if name in given}
    record = None
    training_options = TrainingOptions(**chosen)
    if resume is not None:
        checkpoint = read(resume)
        flow, record = checkpoint.flow, checkpoint.training
        try:
            training_options = replace(recorded_options(record), **chosen)
        except TrainingError as error:
            raise TrainingError(f"{resume}: {error}") from None
    elif warm_start is not None:
        flow = load(warm_start)
    if resume or warm_start:
        data = read_training_table(table, flow.columns, flow.context_columns, missing=missing)
    else:
        data = read_training_table(
            table, columns or (), context or (), exclude or (), missing=missing
        )
        for notice in data.notices:
            click.echo(printable(notice), err=True)
        flow = _new_flow(data.columns, data.context_columns, given, training_options.seed)
    refuse_gaps(data.x, table, data.columns)
    if data.context is not None:
        refuse_gaps(data.context, table, data.context_columns)
    with _warnings_on_stderr():
        result = fit(
            flow,
            data.x,
            data.context,
            options=training_options,
            verbose=True,
            resume=record,
            warm_start=warm_start is not None,
        )
    result.record["summary"]["table"] = _origin(table)
    save(flow, output, training=result.record, force=True)  # checked before training
    if as_json:
        click.echo(json.dumps(result_as_json(flow, result, output, table)))
    print_result(result, output, table)
    if result.stopped == "interrupt":
        raise click.exceptions.Exit(130)


def _refuse_fixed_options(
    given: dict[str, Any],
    columns: tuple[str, ...] | None,
    resume: Path | None,
    warm_start: Path | None,
) -> None:
    """Refuse options that a given checkpoint already fixes."""
    if resume and warm_start:
        raise click.UsageError("--resume and --warm-start were both given; expected one of them")
    if resume is None and warm_start is None:
        return
    option = "--resume" if resume else "--warm-start"
    fixed = (*_FLOW, *_MAPS, "dtype", *(("seed",) if resume else ()))
    if chosen := [name for name in fixed if name in given]:
        raise click.UsageError(f"--{chosen[0].replace('_', '-')} cannot change with {option}")
    if columns:
        raise click.UsageError(f"{option} takes its columns from the checkpoint")


def _origin(table: str) -> dict[str, str]:
    """The name of the table; and its SHA-256, if it is one file."""
    path = Path(table)
    if not path.is_file():
        return {"name": path.name}
    with path.open("rb") as file:
        return {"name": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print what the library logs. The command has its own message about an interrupt."""
    handler = logging.Handler()
    handler.emit = lambda record: click.echo(printable(f"Warning: {record.getMessage()}"), err=True)  # type: ignore[method-assign]
    handler.addFilter(lambda record: not record.getMessage().startswith("interrupted "))
    logger = logging.getLogger("rnvp_deploy")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _new_flow(
    columns: Sequence[str], context: Sequence[str], given: dict[str, Any], seed: int
) -> "RNVP":
    """A new flow, with random weights from ``seed``."""
    import torch

    from rnvp_deploy.config import RNVPConfig
    from rnvp_deploy.flow import RNVP
    from rnvp_deploy.mapped_columns import column_maps

    chosen = {name: given[name] for name in _FLOW if name in given}
    if "scale" in chosen:
        chosen["scale"] = scale_function(chosen["scale"])
    maps = {
        option: matching_columns(given[option], columns, f"--{option}: the flow")
        for option in _MAPS
        if option in given
    }
    if both := set(maps.get("log", ())).intersection(maps.get("logit", ())):
        raise click.UsageError(f"column {min(both)!r} is in both --log and --logit")
    chosen["elementwise"] = column_maps(columns, **maps)
    config = RNVPConfig(dim=len(columns), context_dim=len(context), seed=seed, **chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = RNVP(config, tuple(columns), tuple(context))
    return flow.double() if given.get("dtype") == "float64" else flow
