"""One flow in every form that a competitor starts from, as files in a folder."""

import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import nn

import rnvp_exporters
from benchmarks.flows import FlowSize, make
from benchmarks.source import Density, Inverse, StackedNVP
from rnvp_deploy import RNVP

__all__ = ["FORMS", "Artifacts", "Form", "write"]

GRAPHS: dict[str, type[Density] | type[Inverse]] = {"density": Density, "inverse": Inverse}
"""What is exported of the eager flow, as ``plain-<name>.onnx`` and ``<name>.ts``."""


@dataclass(frozen=True)
class Form:
    """One kind of files that competitors open."""

    write: Callable[[RNVP, StackedNVP, Path], object]  # the flow, its eager form, the folder
    graph: str = ""  # the name of its ONNX files, if it has some; {} is the graph


@dataclass(frozen=True)
class Artifacts:
    """All forms of a flow, in ``folder``."""

    folder: Path
    size: FlowSize
    seconds: dict[str, float]  # to export each form: all its graphs
    nodes: dict[str, dict[str, int]]  # of each form's graphs


def write(size: FlowSize, folder: Path) -> Artifacts:
    """Export a flow of ``size`` in every form, timing each export."""
    folder.mkdir(parents=True, exist_ok=True)
    flow = make(size)
    eager = StackedNVP(flow).eval()
    seconds: dict[str, float] = {}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, form in FORMS.items():
            began = time.perf_counter()
            form.write(flow, eager, folder)
            seconds[name] = time.perf_counter() - began
    nodes = {
        name: {
            graph: len(onnx.load(path).graph.node)
            for graph in ("density", "inverse", "sampler")
            if (path := folder / form.graph.format(graph)).is_file()
        }
        for name, form in FORMS.items()
        if form.graph
    }
    return Artifacts(folder, size, seconds, nodes)


def _write_eager(flow: RNVP, eager: StackedNVP, folder: Path) -> None:
    torch.save(eager, folder / "eager.pt")


def _write_bundle(flow: RNVP, eager: StackedNVP, folder: Path) -> None:
    rnvp_exporters.export(flow, folder / "model.rnvp", formats=("onnx",), force=True)


def _write_plain_onnx(flow: RNVP, eager: StackedNVP, folder: Path) -> None:
    for name, module in GRAPHS.items():
        _plain_onnx(module(eager), flow.dim, folder / f"plain-{name}.onnx")


def _write_torchscript(flow: RNVP, eager: StackedNVP, folder: Path) -> None:
    for name, module in GRAPHS.items():
        traced = torch.jit.trace(module(eager).eval(), torch.randn(3, flow.dim))
        torch.jit.save(torch.jit.freeze(traced), folder / f"{name}.ts")


def _plain_onnx(module: nn.Module, dim: int, path: Path) -> None:
    """``torch.onnx.export`` with its optimizer on and a dynamic batch axis."""
    torch.onnx.export(
        module.eval(),
        (torch.randn(3, dim),),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n")},),
        input_names=["input"],
        output_names=["output"],
        external_data=False,
        verbose=False,
    )


FORMS = {
    "eager": Form(_write_eager),
    "ours": Form(_write_bundle, "model.rnvp/{}.onnx"),
    "plain ONNX": Form(_write_plain_onnx, "plain-{}.onnx"),
    "TorchScript": Form(_write_torchscript),
}
"""The kinds of files, by the name that a `benchmarks.competitors.Competitor` refers to."""
