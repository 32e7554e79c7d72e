"""One flow in every form that a competitor starts from, as files in a folder."""

import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import nn

import rnvp_exporters
from benchmarks.flows import FlowSize, make
from benchmarks.source import Density, Inverse, StackedNVP

__all__ = ["Artifacts", "write"]

GRAPHS: dict[str, type[Density] | type[Inverse]] = {"density": Density, "inverse": Inverse}
"""What is exported of the eager flow, as ``plain-<name>.onnx`` and ``<name>.ts``."""


@dataclass(frozen=True)
class Artifacts:
    """``model.rnvp``, ``plain-*.onnx``, ``*.ts`` and ``eager.pt`` in ``folder``."""

    folder: Path
    size: FlowSize
    seconds: dict[str, float]  # to export each form: all its graphs
    nodes: dict[str, dict[str, int]]  # of each form's graphs


def write(size: FlowSize, folder: Path) -> Artifacts:
    """Export a flow of ``size`` in every form, timing each export."""
    folder.mkdir(parents=True, exist_ok=True)
    flow = make(size)
    eager = StackedNVP(flow).eval()
    torch.save(eager, folder / "eager.pt")
    seconds: dict[str, float] = {}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        rnvp_exporters.export(flow, folder / "model.rnvp", formats=["onnx"], force=True)
        seconds["ours"] = time.perf_counter() - began
        began = time.perf_counter()
        for name, module in GRAPHS.items():
            _plain_onnx(module(eager), size.dim, folder / f"plain-{name}.onnx")
        seconds["plain ONNX"] = time.perf_counter() - began
        began = time.perf_counter()
        for name, module in GRAPHS.items():
            _torchscript(module(eager), size.dim, folder / f"{name}.ts")
        seconds["TorchScript"] = time.perf_counter() - began
    forms = {"ours": "model.rnvp/{}.onnx", "plain ONNX": "plain-{}.onnx"}
    nodes = {
        form: {
            name: len(onnx.load(path).graph.node)
            for name in ("density", "inverse", "sampler")
            if (path := folder / pattern.format(name)).exists()
        }
        for form, pattern in forms.items()
    }
    return Artifacts(folder, size, seconds, nodes)


def _plain_onnx(module: nn.Module, dim: int, path: Path) -> None:
    """``torch.onnx.export`` as anyone would call it, its optimizer on, the batch axis dynamic."""
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


def _torchscript(module: nn.Module, dim: int, path: Path) -> None:
    traced = torch.jit.trace(module.eval(), torch.randn(3, dim))
    torch.jit.save(torch.jit.freeze(traced), path)
