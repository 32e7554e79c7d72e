"""What ``rnvp-train`` prints when it is done."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnvp_runtime.terminal.printable import printable

if TYPE_CHECKING:
    from rnvp_deploy.flow import RNVP
    from rnvp_deploy.training import Training

__all__ = ["print_result", "result_as_json"]


def print_result(result: "Training", output: Path, table: str) -> None:
    """Print the score, the notes, and the command to run next, on standard error."""
    from rnvp_deploy.training import suggested_options

    best, interrupted = result.best, result.stopped == "interrupt"
    gaussian = "" if result.gaussian is None else f"; a Gaussian: {result.gaussian:.4f}"
    lines = [
        f"{'Interrupted. ' if interrupted else ''}{output}: {best.held_out:.4f} nats a row on "
        f"{result.held_out_rows:,} held-out rows{gaussian} (epoch {best.number} of "
        f"{len(result.epochs)}), in {result.seconds:.1f} s"
    ]
    lines += [f"Note: {note}" for note in result.notes]
    if options := suggested_options(result.warnings):
        lines.append(f"Suggested options: {options}")
    checkpoint = shlex.quote(str(output))
    resume = f"rnvp-train {shlex.quote(table)} --resume {checkpoint}"
    lines.append(f"Next: {resume if interrupted else f'rnvp-export {checkpoint}'}")
    click.echo("\n".join(map(printable, lines)), err=True)


def result_as_json(flow: "RNVP", result: "Training", output: Path, table: str) -> dict[str, Any]:
    """The result as plain values, for ``--json``."""
    best = result.best
    return {
        "checkpoint": str(output),
        "table": table,
        "rows": result.rows,
        "held_out_rows": result.held_out_rows,
        "columns": flow.columns,
        "context_columns": flow.context_columns,
        "parameters": sum(p.numel() for p in flow.parameters()),
        "epochs": len(result.epochs),
        "best_epoch": best.number,
        "train_nats": best.train,
        "held_out_nats": best.held_out,
        "gaussian_nats": result.gaussian,
        "stopped": result.stopped,
        "skipped_batches": sum(epoch.skipped for epoch in result.epochs),
        "warnings": [asdict(warning) for warning in result.warnings],
        "notes": result.notes,
        "seconds": round(result.seconds, 3),
    }
