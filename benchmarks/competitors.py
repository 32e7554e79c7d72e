"""The competitors: one record for each way to run a flow, and the registry of them.

A competitor takes numpy rows and returns numpy rows. It opens its files as its own documentation
says and with its own defaults; only the number of threads is set. Each runs in a process of its
own (see `benchmarks.worker`): it imports only what it needs, and may change what is global to a
process.

To add one, write its function and enter its record in ``COMPETITORS``. If it starts from a new
kind of file, add that to ``FORMS`` in `benchmarks.artifacts`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.flows import FlowSize

__all__ = ["COMPETITORS", "FUNCTIONS", "OURS", "Competitor", "Files", "Function"]

Array: TypeAlias = NDArray[np.float32]

FUNCTIONS = ("density", "inverse", "sampler")
"""What is measured: x (n, d) → log p (n,); z (n, d) → x (n, d); a number n → x (n, d)."""

Function: TypeAlias = Callable[[Any], Array]


@dataclass(frozen=True)
class Files:
    """The folder that `benchmarks.artifacts` wrote, and how to run what is in it."""

    folder: Path
    dim: int
    threads: int


@dataclass(frozen=True)
class Competitor:
    """One way to run a flow."""

    name: str
    form: str  # of the files that it opens: a key of benchmarks.artifacts.FORMS
    open: Callable[[Files, str], Function]  # one of FUNCTIONS; for one row and for many
    packages: tuple[str, ...]  # what must be installed
    colour: str  # in the chart
    measures_start: bool = True  # whether the time from process start to first number is measured
    can: Callable[[FlowSize, str], bool] = lambda size, function: True
    is_available: Callable[[], bool] = lambda: True


OURS = "rnvp-deploy"


def _bundle(files: Files, function: str, engine: str | None = None) -> Function:
    import rnvp_runtime

    flow = rnvp_runtime.load(files.folder / "model.rnvp", threads=files.threads, engine=engine)
    functions: dict[str, Function] = {
        "density": flow.log_prob,
        "inverse": flow.inverse,
        "sampler": partial(flow.sample, seed=7),
    }
    return functions[function]


def _has_native_engine() -> bool:
    from rnvp_runtime.native import is_available

    return is_available()


def _onnxruntime(files: Files, graph: str) -> Function:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = files.threads
    path = files.folder / f"plain-{graph}.onnx"
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(None, {"input": rows})[0]


def _openvino(files: Files, graph: str) -> Function:
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": files.threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    path = files.folder / f"plain-{graph}.onnx"
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    # Neither inputs nor outputs are copied: the fastest that its Python interface offers.
    return lambda rows: request.infer([rows], share_inputs=True, share_outputs=True)[0]


def _numpy_noise(open_graph: Callable[[Files, str], Function]) -> Callable[[Files, str], Function]:
    """Adds the usual sampler: numpy's noise through the inverse."""

    def open_function(files: Files, function: str) -> Function:
        if function != "sampler":
            return open_graph(files, function)
        inverse, generator = open_graph(files, "inverse"), np.random.default_rng(7)
        return lambda n: inverse(generator.standard_normal((n, files.dim), dtype=np.float32))

    return open_function


def _torch(
    load: Callable[[Path, str], Callable[..., Any]],
) -> Callable[[Files, str], Function]:
    """A module of PyTorch: numpy arrays in and out, and a sampler of ``randn``."""

    def open_function(files: Files, function: str) -> Function:
        import torch

        torch.set_num_threads(files.threads)
        module = load(files.folder, "density" if function == "density" else "inverse")

        @torch.inference_mode()
        def run(rows: Array) -> Array:
            return module(torch.from_numpy(rows)).numpy()

        @torch.inference_mode()
        def sample(n: int) -> Array:
            return module(torch.randn(n, files.dim)).numpy()

        return sample if function == "sampler" else run

    return open_function


def _eager(folder: Path, graph: str) -> Callable[..., Any]:
    import torch

    from benchmarks.source import Density, Inverse

    flow = torch.load(folder / "eager.pt", weights_only=False)
    return (Density if graph == "density" else Inverse)(flow).eval()


def _compiled(folder: Path, graph: str) -> Callable[..., Any]:
    import torch

    compiled: Callable[..., Any] = torch.compile(_eager(folder, graph))
    return compiled


def _torchscript(folder: Path, graph: str) -> Callable[..., Any]:
    import torch

    module: Callable[..., Any] = torch.jit.load(folder / f"{graph}.ts")
    return module


_ALL = (
    Competitor("eager PyTorch", "eager", _torch(_eager), ("torch", "numpy"), "#b2182b"),
    Competitor("TorchScript", "TorchScript", _torch(_torchscript), ("torch", "numpy"), "#ef8a62"),
    Competitor(
        "torch.compile",
        "eager",
        _torch(_compiled),
        ("torch", "numpy"),
        "#c7a76c",
        measures_start=False,  # it compiles for many seconds
    ),
    Competitor("OpenVINO", "plain ONNX", _numpy_noise(_openvino), ("openvino", "numpy"), "#7b6aa8"),
    Competitor(
        "plain ONNX Runtime",
        "plain ONNX",
        _numpy_noise(_onnxruntime),
        ("onnxruntime", "numpy"),
        "#67a9cf",
    ),
    Competitor(
        f"{OURS} native",
        "ours",
        partial(_bundle, engine="native"),
        ("numpy", "click"),
        "#1b7837",
        is_available=_has_native_engine,
    ),
    Competitor(
        f"{OURS} onnxruntime",
        "ours",
        partial(_bundle, engine="onnxruntime"),
        ("onnxruntime", "numpy", "click"),
        "#4d7ea8",
    ),
    Competitor(OURS, "ours", _bundle, ("onnxruntime", "numpy", "click"), "#0b3c5d"),
)
COMPETITORS = {one.name: one for one in _ALL if one.is_available()}
"""The competitors that this installation can run, by name."""
