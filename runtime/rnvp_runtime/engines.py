"""Engines that can run a bundle's graphs, and what each is known to get wrong.

onnxruntime is the one that this package runs on. OpenVINO is here to be checked: it runs
``density.onnx`` and ``inverse.onnx`` well, and ``sampler.onnx`` wrongly without an error, since
it has no uint64 arithmetic and computes the stream's integers in 32 bits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rnvp_runtime.extras import need
from rnvp_runtime.session import open_onnx

__all__ = ["ENGINES", "Engine", "Run", "onnxruntime_cpu", "openvino_cpu"]

Array = NDArray[Any]
Run = Callable[[Path, Mapping[str, Array], Sequence[str]], Sequence[Array]]
"""(an ONNX file, its inputs by name, names of outputs) -> those outputs."""


@dataclass(frozen=True)
class Engine:
    """How to run a graph, and what is known not to work there."""

    run: Run
    package: str = "onnxruntime"
    keeps_nan: bool = True  # NaN in, NaN out
    advice: Mapping[str, str] = field(default_factory=dict)  # graph -> what to do if it is wrong


def onnxruntime_cpu(path: Path, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    """onnxruntime's CPU provider, on one thread."""
    results: list[Array] = open_onnx(path.read_bytes(), str(path)).run(outputs, dict(feeds))
    return results


def openvino_cpu(path: Path, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    """OpenVINO's CPU plugin, in float32: left to itself it takes bfloat16 where the CPU has it."""
    core = need("openvino").Core()
    model = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = model(dict(feeds))
    return [results[name] for name in outputs]


ENGINES: dict[str, Engine] = {
    "onnxruntime": Engine(onnxruntime_cpu),
    "openvino": Engine(
        openvino_cpu,
        package="openvino",
        keeps_nan=False,
        advice={
            "sampler": "OpenVINO computes uint64 in 32 bits and raises no error, so its samples "
            "are wrong: draw noise with rnvp_runtime.stream.normals and run inverse.onnx on it"
        },
    ),
}
