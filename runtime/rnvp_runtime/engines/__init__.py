"""Engines that can compute a bundle's graphs.

    run = ENGINES["onnxruntime"].open(content, ["log_prob"])
    [log_prob] = run({"x": x})

To add an engine, write a module with a class that has the interface of `Engine`, and add one line
to `ENGINES`. `rnvp_runtime.load(path, engine=...)` and ``rnvp-verify --engine`` then accept it.
Importing this package loads no engine and no numpy.
"""

from rnvp_runtime.engines.engine import Array, Engine, OpenOptions, Provider, Run, Signature
from rnvp_runtime.engines.native_engine import Native
from rnvp_runtime.engines.onnxruntime_engine import OnnxRuntime
from rnvp_runtime.engines.openvino_engine import OpenVino
from rnvp_runtime.errors import InputError

__all__ = [
    "ENGINES",
    "Array",
    "Engine",
    "OpenOptions",
    "Provider",
    "Run",
    "Signature",
    "find_engine",
]

ENGINES: dict[str, Engine] = {
    "onnxruntime": OnnxRuntime(),
    "native": Native(),
    "openvino": OpenVino(),
}
"""Name -> engine."""


def find_engine(name: str) -> Engine:
    """The engine called ``name``.

    Raises:
        InputError: there is none. The text names those that there are.
    """
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}: choose from {', '.join(ENGINES)}")
    return ENGINES[name]
