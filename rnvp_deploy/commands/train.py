"""``rnvp-train``: a table in, a checkpoint out."""

import json
import logging
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnvp_deploy.commands.names import column_names
from rnvp_runtime.errors import TableError
from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnvp_deploy.flow import RNVP
    from rnvp_deploy.scales import Scale
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


def _widths(value: str) -> tuple[int, ...]:
    """``64,64`` → (64, 64)."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is no list of widths, such as 64,64")
    return tuple(int(part) for part in parts)


@click.command(cls=UserErrorCommand)
@click.argument("table", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The checkpoint: model.pt.")
@click.option(
    "--columns",
    type=column_names,
    metavar="A,B",
    help="What to learn, as a,b,c. Default: all numbers.",
)
@click.option(
    "--context",
    type=column_names,
    metavar="A,B",
    help="Columns that are given: learn p(columns | context).",
)
@click.option("--couplings", type=click.IntRange(min=1), help="How many.  [default: 8]")
@click.option(
    "--hidden", type=_widths, metavar="N,N", help="Widths of hidden layers.  [default: 64,64]"
)
@click.option("--mixing", type=click.Choice(["swap", "permute", "lu"]), help="[default: swap]")
@click.option("--actnorm", is_flag=True, default=None, help="An affine before each coupling.")
@click.option("--scale", help="Scale function: tanh, tanh:2 (bound), exp, ...  [default: tanh]")
@click.option("--activation", help="Between layers.  [default: relu]")
@click.option("--residual", is_flag=True, default=None, help="Residual networks.")
@click.option("--joint/--separate", default=None, help="σ and μ of one network or of two.")
@click.option("--epochs", type=click.IntRange(min=1), help="Default: by the number of rows.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Default: by the number of rows.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="[default: 0.005]")
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Fraction of rows scored, not trained on.  [default: 0.1]",
)
@click.option("--patience", type=click.IntRange(min=1), help="Epochs without a better score.")
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), help="Of weights, split, batches.  [default: 0]"
)
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with this checkpoint.")
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON on stdout.")
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
    """Learn the density of TABLE's rows; write the flow to OUTPUT.

    TABLE is .csv, .tsv, .parquet, .npy or .npz. Losses are in nats a row, lower is better; some
    rows are held out, and the weights that score best on them are kept. The same table, options,
    seed and thread count give the same checkpoint, byte for byte.

    Ctrl-C writes the best weights so far (exit code 130); --resume model.pt goes on from there,
    to the very checkpoint that an uninterrupted training would have written.

    \b
    Example:
      rnvp-train diamonds.csv -o model.pt --columns carat,price --context depth
    """
    given = {name: value for name, value in options.items() if value is not None}
    if output is None:
        if resume is None:
            raise click.UsageError("say where to write the checkpoint: -o model.pt")
        output = resume
    if resume is not None:
        if fixed := [name for name in (*_FLOW, "seed") if name in given]:
            raise click.UsageError(f"--{fixed[0]} cannot change when a training is resumed")
        if columns or context:
            raise click.UsageError("--resume takes its columns from the checkpoint")
    _refuse_unwritable(output, force or output == resume)

    import torch

    from rnvp_deploy.checkpoint import load, read_training, save
    from rnvp_deploy.commands.epoch_lines import EpochLines
    from rnvp_deploy.errors import TrainingError
    from rnvp_deploy.training import TrainingOptions, fit, recorded_options

    # One is as fast as two on networks of the default size, and where cores are shared, far faster.
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
    # The last line below says it for the terminal.
    logging.getLogger("rnvp_deploy").addHandler(logging.NullHandler())
    lines = EpochLines()
    try:
        result = fit(flow, x, c, options=training_options, progress=lines, resume=record)
    finally:
        lines.close()
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
    """x (n, d), context (n, c) or None, and the names of x's columns."""
    from rnvp_deploy.training_rows import refuse_gaps
    from rnvp_runtime.tables import read_columns

    if shared := set(columns or ()) & set(context):
        raise TableError(f"column {min(shared)!r} cannot be both learnt and given")
    numbers = read_columns(table, None if columns is None else (*columns, *context))
    if columns is None and numbers.skipped:
        skipped = ", ".join(name or "(no name)" for name in numbers.skipped)
        click.echo(f"Not numbers, left out: {skipped}", err=True)
    if missing := [name for name in context if name not in numbers.columns]:
        read_columns(table, missing)  # says why: it is missing, or text
    refuse_gaps(numbers.values, str(table), numbers.columns)
    learnt = columns or tuple(name for name in numbers.columns if name not in context)
    at = {name: i for i, name in enumerate(numbers.columns)}
    x = numbers.values[:, [at[name] for name in learnt]]
    c = numbers.values[:, [at[name] for name in context]] if context else None
    return x, c, learnt


def _new_flow(
    columns: Sequence[str], context: Sequence[str], given: dict[str, Any], seed: int
) -> "RNVP":
    """A flow as the options say, its weights drawn from ``seed``."""
    import torch

    from rnvp_deploy.config import RNVPConfig
    from rnvp_deploy.flow import RNVP

    chosen = {name: given[name] for name in _FLOW if name in given}
    if "scale" in chosen:
        chosen["scale"] = _scale(chosen["scale"])
    config = RNVPConfig(dim=len(columns), context_dim=len(context), seed=seed, **chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RNVP(config, tuple(columns), tuple(context))


def _scale(text: str) -> "Scale":
    """``tanh``, or ``tanh:2`` for its first number; names as the classes', in any case."""
    from rnvp_deploy import scales

    kinds = {name.lower(): getattr(scales, name) for name in scales.__all__}
    del kinds["scale"], kinds["centred"]
    name, _, number = text.partition(":")
    try:
        kind = kinds[name.lower().replace("_", "")]
        return kind(float(number)) if number else kind()  # type: ignore[no-any-return]
    except (KeyError, ValueError, TypeError):
        raise click.BadParameter(
            f"{text!r} is none of {', '.join(kinds)}, or one with a number, as tanh:2",
            param_hint="--scale",
        ) from None


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
