"""Every way to run a flow, behind one interface: numpy rows in, numpy rows out.

Each is opened from its files as its own documentation says and with its own defaults, but for the
number of threads, which is given. Each has a process of its own (see `benchmarks.worker`), so it
imports what it needs and no more, and may set what is global to a process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPETITORS", "OURS", "Engine", "Open"]

Array = NDArray[np.float32]
Map = Callable[[Array], Array]


@dataclass(frozen=True)
class Engine:
    """A flow ready to run."""

    log_prob: Map  # (n, d) → (n,)
    inverse: Map  # (n, d) → (n, d)
    sample: Callable[[int], Array]  # n → (n, d)


Open = Callable[[Path, int, int], Engine]
"""From the folder that `benchmarks.artifacts` wrote, the flow's d, and the number of threads."""

OURS = "rnvp-deploy"


def ours(folder: Path, dim: int, threads: int) -> Engine:
    import rnvp_runtime

    flow = rnvp_runtime.load(folder / "model.rnvp", threads=threads)
    return Engine(flow.log_prob, flow.inverse, partial(flow.sample, seed=7))


def plain_onnxruntime(folder: Path, dim: int, threads: int) -> Engine:
    import onnxruntime

    def opened(graph: str) -> Map:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path = folder / f"plain-{graph}.onnx"
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda rows: session.run(None, {"input": rows})[0]

    return _from_maps(opened("density"), opened("inverse"), dim)


def openvino_float32(folder: Path, dim: int, threads: int) -> Engine:
    import openvino  # of no extra: pip install openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }

    def opened(graph: str) -> Map:
        model = core.compile_model(folder / f"plain-{graph}.onnx", "CPU", settings)
        request = model.create_infer_request()
        # Neither inputs nor outputs are copied: the fastest that its Python interface offers.
        return lambda rows: request.infer([rows], share_inputs=True, share_outputs=True)[0]

    return _from_maps(opened("density"), opened("inverse"), dim)


def eager(folder: Path, dim: int, threads: int) -> Engine:
    density, inverse = _source(folder, _torch(threads))
    return _of_torch(density, inverse, dim)


def compiled(folder: Path, dim: int, threads: int) -> Engine:
    torch = _torch(threads)
    density, inverse = _source(folder, torch)
    return _of_torch(torch.compile(density), torch.compile(inverse), dim)


def torchscript(folder: Path, dim: int, threads: int) -> Engine:
    torch = _torch(threads)
    density, inverse = (torch.jit.load(folder / f"{graph}.ts") for graph in ("density", "inverse"))
    return _of_torch(density, inverse, dim)


COMPETITORS: dict[str, Open] = {
    "eager PyTorch": eager,
    "TorchScript": torchscript,
    "torch.compile": compiled,
    "OpenVINO": openvino_float32,
    "plain ONNX Runtime": plain_onnxruntime,
    OURS: ours,
}


def _from_maps(log_prob: Map, inverse: Map, dim: int) -> Engine:
    """A sampler made as one is without ours: numpy's noise through the inverse."""
    draw = np.random.default_rng(7)
    return Engine(
        log_prob,
        inverse,
        lambda n: inverse(draw.standard_normal((n, dim), dtype=np.float32)),
    )


def _torch(threads: int) -> Any:
    import torch

    torch.set_num_threads(threads)
    return torch


def _source(folder: Path, torch: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    from benchmarks.source import Density, Inverse

    flow = torch.load(folder / "eager.pt", weights_only=False)
    return Density(flow).eval(), Inverse(flow).eval()


def _of_torch(density: Callable[..., Any], inverse: Callable[..., Any], dim: int) -> Engine:
    import torch

    def mapped(function: Callable[..., Any]) -> Map:
        @torch.inference_mode()
        def run(rows: Array) -> Array:
            return function(torch.from_numpy(rows)).numpy()

        return run

    @torch.inference_mode()
    def sample(n: int) -> Array:
        return inverse(torch.randn(n, dim)).numpy()

    return Engine(mapped(density), mapped(inverse), sample)
