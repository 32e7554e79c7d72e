"""``rnvp-web``: a web page that shows the flow of a bundle. It needs no PyTorch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnvp_runtime.terminal.user_errors import UserErrorCommand

if TYPE_CHECKING:
    from rnvp_exporters.bundle.page import PageFile

__all__ = ["print_page", "web"]


@click.command(name="rnvp-web", cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--engine",
    type=click.Choice(("native", "onnxruntime")),
    help="What the page computes with.  [default: native, if the bundle has it]",
)
@click.option(
    "--onnxruntime-web",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The npm package's folder, to be part of the page. Default, where the page needs it: "
    "RNVP_ONNXRUNTIME_WEB, node_modules here or above, or the global ones of npm.",
)
@click.option("--force", is_flag=True, help="Replace FOLDER if it is such a page.")
@click.option("--json", "as_json", is_flag=True, help="Print the files as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def web(
    bundle: Path,
    folder: Path,
    engine: str | None,
    onnxruntime_web: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write FOLDER, a page that draws samples and densities of BUNDLE in the browser.

    FOLDER holds all that the page needs, for any static host. PyTorch is not needed. Where the
    bundle has no native engine, the page runs onnxruntime-web, which is copied from where npm
    installed it.

    \b
    Example:
      rnvp-web model.rnvp site
    """
    from rnvp_exporters.bundle import page

    page.check_target(folder, force=force, inputs=[bundle], how="--force")
    written = page.write_page(
        bundle, folder, force=force, engine=engine, onnxruntime_web=onnxruntime_web
    )
    if as_json:
        files = {file.name: file.bytes for file in written}
        click.echo(json.dumps({"output": str(folder), "files": files}))
        return
    print_page(folder, written)


def print_page(page: Path, written: "Sequence[PageFile]") -> None:
    """Print the files of the page in the folder ``page``, and how to see it."""
    click.echo(f"\nPage, {sum(file.bytes for file in written) / 2**20:.1f} MiB:")
    vectors = "model.rnvp/tests/"
    for file in written:
        if not file.name.startswith(vectors):
            click.echo(f"  {page / file.name}  {file.bytes / 1024:.1f} KiB")
    tests = [file.bytes for file in written if file.name.startswith(vectors)]
    click.echo(f"  {page / vectors}  {sum(tests) / 1024:.1f} KiB in {len(tests)} files")
    click.echo(f"\nSee it: python -m http.server --directory {page}")
