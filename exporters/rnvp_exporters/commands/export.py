"""``rnvp-export``: from a checkpoint to a bundle, on the command line."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnvp_runtime.outputs import check_output
from rnvp_runtime.terminal.columns import align_columns
from rnvp_runtime.terminal.next_commands import next_commands
from rnvp_runtime.terminal.precision_table import precision_table
from rnvp_runtime.terminal.printable import printable
from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    from rnvp_deploy import RNVP
    from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["export"]

FORMATS = ("onnx", "torchscript", "pt2", "c")


@click.command(cls=UserErrorCommand)
@click.argument("model")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The bundle to write. By default model.pt becomes model.rnvp beside it.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="With mymodule.py:make_flow for MODEL: the state dict to load into what it makes.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    default=("onnx", "torchscript"),
    show_default=True,
    help="May be given several times. ONNX is always written. c also writes a folder of C that "
    "compiles on its own, beside the bundle: model_c for model.rnvp.",
)
@click.option(
    "--dtype",
    type=click.Choice(("float32", "float64")),
    help="Of the graphs.  [default: as the checkpoint]",
)
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Export a flow whose errors in this dtype exceed the limits; the manifest records them.",
)
@click.option("--opset", type=click.IntRange(18, 23), default=18, show_default=True)
@click.option(
    "--web",
    "page",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Also write DIR, a page that shows the flow, ready for any static host.",
)
@click.option(
    "--card",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Markdown or YAML with licence, tags, intended use and limitations, for the model card.",
)
@click.option(
    "--sign",
    "key",
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="Sign the bundle with this private key, in PEM; needs the extra sign. See SECURITY.md.",
)
@click.option(
    "--triton",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Also write DIR, a model repository of Triton Inference Server.",
)
@click.option("--force", is_flag=True, help="Replace what is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON, nothing else.")
@click.version_option(package_name="rnvp-deploy")
def export(
    model: str,
    output: Path | None,
    weights: Path | None,
    formats: tuple[str, ...],
    dtype: str | None,
    accept_loss: bool,
    opset: int,
    page: Path | None,
    card: Path | None,
    key: Path | None,
    triton: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Trace the flow in the checkpoint MODEL to a bundle, and prove that it is the same function.

    MODEL may also be mymodule.py:make_flow, a function of yours that returns another library's
    flow (see rnvp-import); that runs your code.

    Every graph is held to eager PyTorch's own rounding error before anything is published; one
    that fails says which output, at which batch size and by how much, and nothing is written.

    \b
    Example:
      rnvp-export model.pt
      rnvp-export model.pt -o double.rnvp --dtype float64
      rnvp-export mymodule.py:make_flow --weights flow.pt -o model.rnvp
      rnvp-export model.pt --web site
      rnvp-export model.pt --card card.yaml
      rnvp-export model.pt --sign private.pem
      rnvp-export model.pt --format c
    """
    from rnvp_exporters.bundle import page as web
    from rnvp_exporters.bundle import triton as repository
    from rnvp_exporters.bundle.export import export as write_bundle
    from rnvp_exporters.commands.web import print_page
    from rnvp_exporters.native import c_folder as c
    from rnvp_runtime.native import is_available
    from rnvp_runtime.terminal.progress import status_line

    is_file = ":" not in model or Path(model).exists()
    if is_file and weights is not None:
        raise click.UsageError("--weights goes with mymodule.py:make_flow, not a checkpoint")
    target = _target(model, is_file, output)
    inputs: list[str | Path] = [model if is_file else model.rpartition(":")[0]]
    inputs += [given for given in (weights, card) if given]
    check_output(target, "bundle", inputs=inputs, force=force)
    if page:  # an export takes a while: first see that its page can be written
        web.check_target(page, force=force, inputs=[*inputs, target], how="--force")
        if not is_available():
            web.find_onnxruntime_web()
    if triton:
        repository.check_target(triton, force=force)
    source = _source(model, is_file, weights)
    folder = target.with_name(f"{target.stem}_c") if "c" in formats else None
    if folder:
        c.check_exportable(source, folder, dtype, force=force)
    with status_line() as show:
        manifest = write_bundle(
            source,
            target,
            formats=[name for name in formats if name != "c"],  # type: ignore[misc]
            dtype=dtype,
            opset=opset,
            accept_loss=accept_loss,
            card=card,
            sign_with=key,
            force=force,
            progress=show,
        )
    written = web.write_page(target, page, force=force) if page else ()
    sources = c.write_from_bundle(target, manifest, folder, force=force) if folder else ()
    if triton:
        repository.write_triton(target, triton, force=force)
    click.echo(manifest.to_json(), nl=False) if as_json else _tell(manifest, target)
    if folder and not as_json:
        click.echo(f"\nC, {len(sources)} files: see {folder / 'README.md'}")
    if page and not as_json:
        print_page(page, written)
    if triton and not as_json:
        click.echo(f"\nTriton: tritonserver --model-repository={triton}")


def _target(model: str, is_file: bool, output: Path | None) -> Path:
    """The path of the bundle to write."""
    if output is None and not is_file:
        raise click.UsageError(f"-o must say where the bundle of {model} goes")
    return output or Path(model).with_suffix(".rnvp")


def _source(model: str, is_file: bool, weights: Path | None) -> "RNVP | Path":
    """The flow to export, or the path of its checkpoint."""
    if is_file:
        return Path(model)
    click.echo(f"Running {model} (your code).", err=True)
    from rnvp_deploy.conversion.factory import convert_factory

    notes = partial(click.echo, err=True)
    return convert_factory(model, weights, tell=notes)


def _tell(manifest: "Manifest", target: Path) -> None:
    click.echo(printable(f"{target}: {manifest.flow.description}") + "\n")
    click.echo("Error against eager float64: the median, and the 99th percentile as a ratio")
    head = ("output", "format", "eager", "exported", "ratio", "unit", "")
    rows = [head, *(_row(parity) for parity in manifest.parity)]
    for line in align_columns(rows):
        click.echo(line)
    if manifest.precision is not None:
        click.echo(f"\nThe flow in {manifest.dtype}, against eager float64 (99th percentile)")
        for line in align_columns(precision_table(manifest.precision)):
            click.echo(line)
    click.echo("\nFiles:")
    named = {file: graph for graph in manifest.graphs.values() for file in graph.files.values()}
    for file, graph in named.items():
        nodes = f", {graph.nodes} nodes" if file.endswith(".onnx") else ""
        click.echo(f"  {target / file}  {manifest.files[file].bytes / 1024:.0f} KiB{nodes}")
    click.echo(f"  {target / 'report.html'}  a picture, and the proof in full")
    if manifest.native_refusal:
        click.echo(f"\nThe native engine does not run this bundle: {manifest.native_refusal}")
    click.echo("\nNext (none of these needs PyTorch):")
    for line in next_commands(manifest, target):
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
