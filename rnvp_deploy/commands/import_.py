"""``rnvp-import``: convert a flow of another library to a checkpoint."""

import json
import shlex
from pathlib import Path

import click

from rnvp_deploy.commands.option_types import column_names
from rnvp_runtime.outputs import check_output
from rnvp_runtime.terminal.user_errors import UserErrorCommand

__all__ = ["import_"]


@click.command(name="rnvp-import", cls=UserErrorCommand)
@click.argument("factory")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="State dict to load into the model, written by torch.save(flow.state_dict(), ...).",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The checkpoint: model.pt.",
)
@click.option("--columns", type=column_names, metavar="A,B", help="Names of the columns.")
@click.option(
    "--context-columns", type=column_names, metavar="A,B", help="Names of the context columns."
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def import_(
    factory: str,
    weights: Path | None,
    output: Path,
    columns: tuple[str, ...] | None,
    context_columns: tuple[str, ...] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Convert the flow that FACTORY returns and write it to OUTPUT.

    FACTORY is mymodule.py:make_flow, a function without arguments that returns a flow of nflows,
    normflows, zuko, FrEIA, glasflow or nessai, or the tutorial's R_NVP. It is run, so it must be
    code that you trust; loading the weights runs no code. Before anything is written, the
    converted flow is compared with your model in float64.

    \b
    Example:
      rnvp-import mymodule.py:make_flow --weights flow.pt -o model.pt
    """
    inputs = [Path(factory.rpartition(":")[0]), *([weights] if weights else [])]
    check_output(
        output, "checkpoint", inputs=[path for path in inputs if path.is_file()], force=force
    )
    click.echo(f"Running {factory} (your code).", err=True)

    from rnvp_deploy.checkpoint import save
    from rnvp_deploy.conversion.factory import convert_factory

    flow = convert_factory(
        factory,
        weights,
        columns=columns,
        context_columns=context_columns,
        tell=lambda note: click.echo(note, err=True),
    )
    save(flow, output, force=True)  # checked before the conversion
    summary = {
        "output": str(output),
        "dim": flow.dim,
        "context_dim": flow.context_dim,
        "columns": list(flow.columns),
        "context_columns": list(flow.context_columns),
        "transforms": len(flow.transforms),
        "parameters": sum(parameter.numel() for parameter in flow.parameters()),
        "dtype": str(flow.dtype).removeprefix("torch."),
    }
    if as_json:
        click.echo(json.dumps(summary))
        return
    conditions = f" given {', '.join(flow.context_columns)}" if flow.context_dim else ""
    click.echo(
        f"{output}: {', '.join(flow.columns)}{conditions}; {summary['transforms']} transforms, "
        f"{summary['parameters']} parameters, {summary['dtype']}; checked against the source."
    )
    click.echo(f"Next: rnvp-export {shlex.quote(str(output))}", err=True)
