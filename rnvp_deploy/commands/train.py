"""``rnvp-train``: train a flow on a table and write a checkpoint."""

import json
import logging
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnvp_deploy.commands.option_types import column_names, layer_widths, scale_function
from rnvp_runtime.errors import TableError
from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnvp_deploy.flow import RNVP
    from rnvp_deploy.training import Training

_FLOW = ("couplings", "hidden", "mixing", "actnorm", "scale", "activation", "residual", "joint")
_TRAINING = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "held_out": "held_out",
    "patience": "patience",
    "seed": "seed",
    "max_seconds": "max_seconds",
}


@click.command(cls=UserErrorCommand)
@click.argument("table", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The checkpoint: model.pt.")
@click.option(
    "--columns",
    type=column_names,
    metavar="A,B",
    help="Columns to learn. Default: all numeric ones.",
)
@click.option(
    "--context",
    type=column_names,
    metavar="A,B",
    help="Columns to condition on: learn p(columns | context).",
)
@click.option("--couplings", type=click.IntRange(min=1), help="Number of couplings.  [default: 8]")
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
    "--epochs", type=click.IntRange(min=1), help="Default: depends on the number of rows."
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Default: depends on the number of rows."
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
    type=click.IntRange(min=1),
    help="Stop after this many epochs without a better score.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), help="Seed of all randomness.  [default: 0]"
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after the epoch during which this time has passed.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="CPU threads."
)
@click.option(
    "--resume", type=click.Path(path_type=Path), help="Continue the training in this checkpoint."
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def train(
    table: Path,
    output: Path | None,
    columns: tuple[str, ...] | None,
    context: tuple[str, ...] | None,
    threads: int,
    resume: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a flow on the rows of TABLE and write it to OUTPUT.

    TABLE is .csv, .tsv, .parquet, .npy or .npz. Losses are in nats a row; lower is better. Some
    rows are held out, and the weights that score best on them are kept. The same table, options,
    seed and thread count give the same checkpoint, byte for byte.

    Ctrl-C writes the best weights so far (exit code 130). --resume model.pt continues from there
    and writes the same checkpoint as an uninterrupted training.

    \b
    Example:
      rnvp-train diamonds.csv -o model.pt --columns carat,price --context depth
    """
    given = {name: value for name, value in options.items() if value is not None}
    if output is None:
        if resume is None:
            raise click.UsageError("no output was given: add -o model.pt")
        output = resume
    if resume is not None:
        if fixed := [name for name in (*_FLOW, "seed") if name in given]:
            raise click.UsageError(f"--{fixed[0]} cannot change when a training is resumed")
        if columns or context:
            raise click.UsageError("--resume takes its columns from the checkpoint")
    _refuse_unwritable(output, force or output == resume)

    import torch

    from rnvp_deploy.checkpoint import load, read_training, save
    from rnvp_deploy.errors import TrainingError
    from rnvp_deploy.training import TrainingOptions, fit, recorded_options
    from rnvp_deploy.training.progress import EpochProgress

    # On networks of the default size one thread is as fast as two, and far faster on shared cores.
    torch.set_num_threads(threads)
    chosen = {_TRAINING[name]: given[name] for name in _TRAINING if name in given}
    if resume is None:
        x, c, columns = _read(table, columns, context or ())
        record = None
        training_options = TrainingOptions(**chosen)
        flow = _new_flow(columns, context or (), given, training_options.seed)
    else:
        flow, record = load(resume), read_training(resume)
        try:
            earlier = recorded_options(record)
        except TrainingError as error:
            raise TrainingError(f"{resume}: {error}") from None
        x, c, _ = _read(table, flow.columns, flow.context_columns)
        training_options = replace(earlier, **chosen)
    # The command prints its own message about an interrupt.
    logging.getLogger("rnvp_deploy").addHandler(logging.NullHandler())
    progress = EpochProgress()
    try:
        result = fit(flow, x, c, options=training_options, progress=progress, resume=record)
    finally:
        progress.close()
    save(flow, output, training=result.record)
    _report(flow, result, output, table, as_json)
    if result.stopped == "interrupt":
        raise click.exceptions.Exit(130)


def _refuse_unwritable(output: Path, replaceable: bool) -> None:
    folder = output.parent
    if not folder.is_dir():
        raise TableError(f"cannot write {output}: the folder {folder} does not exist")
    if output.is_dir():
        raise TableError(f"cannot write {output}: it is a folder")
    if not os.access(folder, os.W_OK):
        raise TableError(f"cannot write {output}: no permission to write in {folder}")
    if output.exists() and not replaceable:
        raise TableError(f"{output} exists: pass --force to replace it, or name another")


def _read(
    table: Path, columns: tuple[str, ...] | None, context: tuple[str, ...]
) -> tuple["NDArray[np.float64]", "NDArray[np.float64] | None", tuple[str, ...]]:
    """Read x (n, d), the context (n, c) or None, and the column names of x."""
    from rnvp_deploy.training.table import refuse_gaps
    from rnvp_runtime.tables import read_columns

    if shared := set(columns or ()) & set(context):
        raise TableError(f"column {min(shared)!r} is in both --columns and --context")
    numbers = read_columns(table, None if columns is None else (*columns, *context))
    if columns is None and numbers.skipped:
        skipped = ", ".join(name or "(no name)" for name in numbers.skipped)
        click.echo(f"Not numbers, left out: {skipped}", err=True)
    if missing := [name for name in context if name not in numbers.columns]:
        read_columns(table, missing)  # raises: it is missing, or text
    refuse_gaps(numbers.values, str(table), numbers.columns)
    learnt = columns or tuple(name for name in numbers.columns if name not in context)
    at = {name: i for i, name in enumerate(numbers.columns)}
    x = numbers.values[:, [at[name] for name in learnt]]
    c = numbers.values[:, [at[name] for name in context]] if context else None
    return x, c, learnt


def _new_flow(
    columns: Sequence[str], context: Sequence[str], given: dict[str, Any], seed: int
) -> "RNVP":
    """A new flow, with random weights from ``seed``."""
    import torch

    from rnvp_deploy.config import RNVPConfig
    from rnvp_deploy.flow import RNVP

    chosen = {name: given[name] for name in _FLOW if name in given}
    if "scale" in chosen:
        chosen["scale"] = scale_function(chosen["scale"])
    config = RNVPConfig(dim=len(columns), context_dim=len(context), seed=seed, **chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RNVP(config, tuple(columns), tuple(context))


def _report(flow: "RNVP", result: "Training", output: Path, table: Path, as_json: bool) -> None:
    best = result.best
    if as_json:
        outcome = {
            "checkpoint": str(output),
            "table": str(table),
            "rows": result.rows,
            "held_out_rows": result.held_out_rows,
            "columns": flow.columns,
            "context_columns": flow.context_columns,
            "parameters": sum(p.numel() for p in flow.parameters()),
            "epochs": len(result.epochs),
            "best_epoch": best.number,
            "train_nats": best.train,
            "held_out_nats": best.held_out,
            "stopped": result.stopped,
            "seconds": round(result.seconds, 3),
        }
        click.echo(json.dumps(outcome))
    interrupted = result.stopped == "interrupt"
    click.echo(
        f"{'Interrupted. ' if interrupted else ''}{output}: {best.held_out:.4f} nats a row on "
        f"{result.held_out_rows:,} held-out rows (epoch {best.number} of {len(result.epochs)}), "
        f"in {result.seconds:.1f} s",
        err=True,
    )
    resumed = f"rnvp-train {table} --resume {output}"
    click.echo(
        f"Next: {resumed if interrupted else f'rnvp-export {shlex.quote(str(output))}'}", err=True
    )
