"""``rnvp-export``: from a checkpoint to a bundle, on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnvp_runtime.one_line import OneLineCommand

if TYPE_CHECKING:
    from rnvp_runtime.manifest import Manifest

__all__ = ["export"]

FORMATS = ("onnx", "torchscript", "pt2")


@click.command(cls=OneLineCommand)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The bundle to write. By default model.pt becomes model.rnvp beside it.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    default=("onnx", "torchscript"),
    show_default=True,
    help="May be given several times. ONNX is always written.",
)
@click.option(
    "--dtype", type=click.Choice(("float32", "float64")), default="float32", show_default=True
)
@click.option("--opset", type=click.IntRange(18, 23), default=18, show_default=True)
@click.option("--force", is_flag=True, help="Replace a bundle that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON, nothing else.")
@click.version_option(package_name="rnvp-deploy")
def export(
    model: Path,
    output: Path | None,
    formats: tuple[str, ...],
    dtype: str,
    opset: int,
    force: bool,
    as_json: bool,
) -> None:
    """Trace the flow in the checkpoint MODEL to a bundle, and prove that it is the same function.

    Every graph is held to eager PyTorch's own rounding error before anything is published; one
    that fails says which output, at which batch size and by how much, and nothing is written.

    \b
    Example:
      rnvp-export model.pt
      rnvp-export model.pt -o fast.rnvp --dtype float32 --format pt2
    """
    from rnvp_exporters import bundle
    from rnvp_runtime.progress import telling

    target = output or model.with_suffix(".rnvp")
    with telling() as tell:
        manifest = bundle.export(
            model,
            target,
            formats=formats,  # type: ignore[arg-type]
            dtype=dtype,
            opset=opset,
            force=force,
            progress=tell,
        )
    click.echo(manifest.to_json(), nl=False) if as_json else _tell(manifest, target)


def _tell(manifest: "Manifest", target: Path) -> None:
    click.echo(f"{target}: {manifest.flow.description}\n")
    click.echo("Error against eager float64: the median, and the 99th percentile as a ratio")
    head = ("output", "format", "eager", "exported", "ratio", "unit", "")
    rows = [head, *(_row(parity) for parity in manifest.parity)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        click.echo("  " + "  ".join(map(str.ljust, row, widths)).rstrip())
    click.echo("\nFiles:")
    for graph in manifest.graphs.values():
        for file in graph.files.values():
            nodes = f", {graph.nodes} nodes" if file.endswith(".onnx") else ""
            click.echo(f"  {target / file}  {manifest.files[file].bytes / 1024:.0f} KiB{nodes}")
    click.echo(f"  {target / 'report.html'}  what a person wants to see")
    click.echo("\nNext (none of these needs PyTorch):")
    for line in (
        f"rnvp-verify {target}",
        f"rnvp-sample {target} -n 1000 --seed 7 -o samples.csv",
        f"rnvp-score {target} table.csv -o scored.csv",
    ):
        click.echo(f"  {line}")


def _row(parity: Any) -> tuple[str, ...]:
    return (
        f"{parity.graph} {parity.output}",
        parity.format,
        f"{parity.eager.median:.1e}",
        f"{parity.exported.median:.1e}",
        f"{parity.ratio.p99:.2f}",
        parity.unit,
        "passed" if parity.passed else "FAILED",
    )
