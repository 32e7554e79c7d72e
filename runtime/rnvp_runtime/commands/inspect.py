"""``rnvp-inspect``: what is in a bundle. Nothing of it is run."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from rnvp_runtime.bundle.manifest import Manifest, Parity
from rnvp_runtime.bundle.tensors import TensorSpec
from rnvp_runtime.terminal.columns import align_columns
from rnvp_runtime.terminal.next_commands import next_commands
from rnvp_runtime.terminal.precision_table import precision_table
from rnvp_runtime.terminal.printable import printable
from rnvp_runtime.terminal.user_errors import UserErrorCommand


@click.command(cls=UserErrorCommand)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON on stdout.")
@click.version_option(package_name="rnvp-deploy")
def inspect(bundle: Path, as_json: bool) -> None:
    """Show what flow BUNDLE holds, its graphs, and the parity measured when it was exported.

    Reads the manifest only; onnxruntime is not needed.

    \b
    Example:
      rnvp-inspect model.rnvp
    """
    manifest = Manifest.read(bundle)
    if as_json:
        click.echo(printable(json.dumps(json.loads(manifest.to_json()), ensure_ascii=False)))
        return
    click.echo("\n\n".join("\n".join(part) for part in _card(bundle, manifest)))


def _card(bundle: Path, manifest: Manifest) -> list[list[str]]:
    """The parts of the card, each a list of lines."""
    flow = manifest.flow
    head = [
        ("flow", f"{flow.description}; {flow.parameters:,} parameters"),
        ("columns", ", ".join(manifest.columns)),
        ("context", ", ".join(manifest.context_columns) or "none"),
        ("dtype", manifest.dtype),
        ("needs", f"onnxruntime {manifest.min_onnxruntime} (opset {manifest.opset})"),
        ("made by", ", ".join(f"{name} {v}" for name, v in manifest.versions.items())),
        ("id", manifest.id),
    ]
    return [
        [printable(bundle.resolve().name), *align_columns(head)],
        align_columns([("graph", "inputs", "outputs", "nodes", "files"), *_graphs(manifest)]),
        [
            "Errors against eager float64, p99 (median), eager's own and the exported graph's:",
            *align_columns(
                [("output", "format", "eager", "exported", "ratio", "unit", ""), *_parity(manifest)]
            ),
        ],
        *_precision(manifest),
        ["Next:", *(f"  {line}" for line in next_commands(manifest, bundle))],
    ]


def _graphs(manifest: Manifest) -> list[tuple[str, ...]]:
    return [
        (
            name,
            _signature(graph.inputs),
            _signature(graph.outputs),
            str(graph.nodes),
            ", ".join(f"{f} {_size(manifest.files[f].bytes)}" for f in graph.files.values()),
        )
        for name, graph in manifest.graphs.items()
    ]


def _parity(manifest: Manifest) -> list[tuple[str, ...]]:
    def spread(parity: Parity, which: str) -> str:
        errors = getattr(parity, which)
        return f"{errors.p99:.2g} ({errors.median:.2g})"

    return [
        (
            f"{parity.graph} {parity.output}",
            parity.format,
            *(spread(parity, which) for which in ("eager", "exported", "ratio")),
            parity.unit,
            "passed" if parity.passed else "FAILED",
        )
        for parity in manifest.parity
    ]


def _precision(manifest: Manifest) -> list[list[str]]:
    if manifest.precision is None:
        return []
    title = f"The flow in {manifest.dtype}, against eager float64 (99th percentile):"
    return [[title, *align_columns(precision_table(manifest.precision))]]


def _signature(specs: Sequence[TensorSpec]) -> str:
    return " ".join(
        f"{s.name}({', '.join(map(str, s.shape))})" if s.shape else s.name for s in specs
    )


def _size(count: int) -> str:
    return f"{count / 1024:,.0f} KiB" if count >= 1024 else f"{count} B"
