"""The floor: the flow's matrix products alone, by numpy's sgemm on one thread.

The same shapes in the same order on the same tiles, written into memory that is there already:
no bias, no activation, no scale function, no sum. Nothing that multiplies these matrices in
float32 can be faster than the best sgemm; the rest of a runtime's time is its own overhead.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.flows import FlowSize

__all__ = ["blas_kernel", "flops", "products", "single_threaded"]


def shapes(size: FlowSize) -> list[tuple[int, int]]:
    """(inputs, outputs) of every dense layer, in the order they run."""
    half = size.dim // 2
    layers: list[tuple[int, int]] = []
    for i in range(size.couplings):
        inputs = half if i % 2 == 0 else size.dim - half
        widths = (inputs, *size.hidden, size.dim - inputs)
        layers += 2 * list(pairwise(widths))
    return layers


def flops(size: FlowSize) -> int:
    """Floating-point operations a row."""
    return sum(2 * inputs * outputs for inputs, outputs in shapes(size))


def products(size: FlowSize, rows: int, tile: int) -> Callable[[], None]:
    """A function that multiplies what ``rows`` rows need, ``tile`` at a time."""
    draw = np.random.default_rng(0)
    tile = min(tile, rows)
    weights = [draw.normal(size=shape).astype(np.float32) for shape in shapes(size)]
    widths = {width for weight in weights for width in weight.shape}
    inputs = {width: draw.normal(size=(tile, width)).astype(np.float32) for width in widths}
    outputs = {width: np.empty((tile, width), np.float32) for width in widths}
    work = [(inputs[w.shape[0]], w, outputs[w.shape[1]]) for w in weights]
    turns = -(-rows // tile)

    def run() -> None:
        for _ in range(turns):
            for left, right, out in work:
                np.dot(left, right, out)

    return run


def single_threaded() -> threadpool_limits:
    """A context in which numpy multiplies on one thread."""
    return threadpool_limits(1, user_api="blas")


def blas_kernel() -> str:
    """The BLAS that numpy calls, and the processor for which it has chosen its kernels."""
    np.ones((2, 2)) @ np.ones((2, 2))
    for library in threadpool_info():
        if library["user_api"] == "blas" and "numpy" in library["filepath"]:
            name, version = library["internal_api"], library["version"]
            return f"{name} {version} ({library.get('architecture', 'unknown')})"
    return "unknown"
