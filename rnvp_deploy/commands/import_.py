"""``rnvp-import``: a flow trained with another library becomes an rnvp-deploy checkpoint."""

import json
from pathlib import Path

import click

from rnvp_deploy.commands.names import column_names
from rnvp_runtime.one_line import OneLineCommand

__all__ = ["import_"]


@click.command(name="rnvp-import", cls=OneLineCommand)
@click.argument("factory")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="State dict to load into the model: what torch.save(flow.state_dict(), …) wrote.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--columns", type=column_names, metavar="A,B", help="Names of the coordinates.")
@click.option(
    "--context-columns", type=column_names, metavar="A,B", help="Names of the conditions."
)
@click.option("--json", "as_json", is_flag=True, help="Summary as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def import_(
    factory: str,
    weights: Path | None,
    output: Path,
    columns: tuple[str, ...] | None,
    context_columns: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Convert the flow that FACTORY makes, and write it to OUTPUT.

    FACTORY is mymodule.py:make_flow: a function without arguments that returns a flow of nflows,
    normflows, zuko, FrEIA, glasflow or nessai, or a tutorial's R_NVP. This runs your code; the
    weights are loaded without running any. The conversion is checked against your model in
    float64 before anything is written.

    \b
    Example:
      rnvp-import mymodule.py:make_flow --weights flow.pt -o model.pt
    """
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
    save(flow, output)
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
