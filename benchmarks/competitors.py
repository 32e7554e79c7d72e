"""Every way to run a flow, behind one interface: numpy rows in, numpy rows out.

Each is opened as its own documentation says and with its own defaults, but for the number of
threads, which is given. Torch's number is global to a process, so its competitors set it before
each turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

import rnvp_runtime
from benchmarks.artifacts import GRAPHS, Artifacts
from benchmarks.source import StackedNVP

__all__ = ["COMPETITORS", "OURS", "Engine", "Open"]

Array = NDArray[np.float32]
Map = Callable[[Array], Array]


@dataclass(frozen=True)
class Engine:
    """A flow ready to run. ``ready`` is called, untimed, before each turn."""

    log_prob: Map  # (n, d) → (n,)
    inverse: Map  # (n, d) → (n, d)
    sample: Callable[[int], Array]  # n → (n, d)
    ready: Callable[[], Any] = lambda: None


Open = Callable[[Artifacts, int], Engine]

OURS = "rnvp-deploy"


def ours(artifacts: Artifacts, threads: int) -> Engine:
    flow = rnvp_runtime.load(artifacts.folder / "model.rnvp", threads=threads)
    return Engine(flow.log_prob, flow.inverse, partial(flow.sample, seed=7))


def plain_onnxruntime(artifacts: Artifacts, threads: int) -> Engine:
    def opened(graph: str) -> Map:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path = artifacts.folder / f"plain-{graph}.onnx"
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda rows: session.run(None, {"input": rows})[0]

    return _from_maps(opened("density"), opened("inverse"), artifacts.size.dim)


def openvino_float32(artifacts: Artifacts, threads: int) -> Engine:
    import openvino  # of no extra: pip install openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }

    def opened(graph: str) -> Map:
        path = artifacts.folder / f"plain-{graph}.onnx"
        request = core.compile_model(path, "CPU", settings).create_infer_request()
        # Neither inputs nor outputs are copied: the fastest that its Python interface offers.
        return lambda rows: request.infer([rows], share_inputs=True, share_outputs=True)[0]

    return _from_maps(opened("density"), opened("inverse"), artifacts.size.dim)


def eager(artifacts: Artifacts, threads: int) -> Engine:
    return _torch(artifacts, threads, lambda graph: GRAPHS[graph](_source(artifacts)).eval())


def compiled(artifacts: Artifacts, threads: int) -> Engine:
    def opened(graph: str) -> Callable[..., Any]:
        # A code object of its own for each number of threads, so that none evicts another's.
        torch._dynamo.config.recompile_limit = 64
        return torch.compile(GRAPHS[graph](_source(artifacts)).eval())

    return _torch(artifacts, threads, opened)


def torchscript(artifacts: Artifacts, threads: int) -> Engine:
    return _torch(
        artifacts, threads, lambda graph: torch.jit.load(artifacts.folder / f"{graph}.ts")
    )


COMPETITORS: dict[str, Open] = {
    "eager PyTorch": eager,
    "TorchScript": torchscript,
    "torch.compile": compiled,
    "OpenVINO": openvino_float32,
    "plain ONNX Runtime": plain_onnxruntime,
    OURS: ours,
}


def _source(artifacts: Artifacts) -> StackedNVP:
    return StackedNVP(artifacts.flow).eval()


def _from_maps(log_prob: Map, inverse: Map, dim: int) -> Engine:
    """A sampler made as one is without ours: numpy's noise through the inverse."""
    draw = np.random.default_rng(7)
    return Engine(
        log_prob,
        inverse,
        lambda n: inverse(draw.standard_normal((n, dim), dtype=np.float32)),
    )


def _torch(
    artifacts: Artifacts, threads: int, opened: Callable[[str], nn.Module | Callable[..., Any]]
) -> Engine:
    density, inverse = opened("density"), opened("inverse")

    def mapped(function: Callable[..., Any]) -> Map:
        @torch.inference_mode()
        def run(rows: Array) -> Array:
            return function(torch.from_numpy(rows)).numpy()  # type: ignore[no-any-return]

        return run

    @torch.inference_mode()
    def sample(n: int) -> Array:
        return inverse(torch.randn(n, artifacts.size.dim)).numpy()  # type: ignore[no-any-return]

    return Engine(mapped(density), mapped(inverse), sample, lambda: torch.set_num_threads(threads))
