"""Which engine serves a call of a flow that was loaded without an engine's name.

onnxruntime serves all calls, except that the native engine serves density, inverse and gradient of
at most `FEW_ROWS` rows, where the bundle holds ``flow.bin`` and this installation the library. Both
passed the same proof at the export, so that a row differs by rounding at most (docs/native.md has
the measurement). Samples always come from onnxruntime: row i of a seed should not depend on how
many rows were drawn with it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnvp_runtime.engines.engine import Provider

if TYPE_CHECKING:
    from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["DEFAULT_ENGINE", "FEW_ROWS", "engine_names", "serving_engines"]

DEFAULT_ENGINE, SMALL_CALLS = "onnxruntime", "native"
FEW_ROWS = 16
"""Up to this many rows a call is small: latency counts, and not the time of a row."""

_GRAPHS = ("density", "inverse", "gradient")


def engine_names(
    manifest: "Manifest", graph: str, *, few_rows: bool, providers: Sequence[Provider]
) -> tuple[str, ...]:
    """The engines to try for ``graph``, in order; the last one serves any bundle.

    Args:
        few_rows: whether a call has at most `FEW_ROWS` rows.
        providers: with any, onnxruntime serves all calls: they are its own.
    """
    described = manifest.graphs.get(graph)
    small = few_rows and not providers and graph in _GRAPHS
    if small and described is not None and SMALL_CALLS in described.files:
        from rnvp_runtime.native import is_available

        if is_available():
            return SMALL_CALLS, DEFAULT_ENGINE
    return (DEFAULT_ENGINE,)


def serving_engines(manifest: "Manifest") -> tuple[str, ...]:
    """The engines that serve calls of the bundle, the one for most rows first."""
    names = [
        name
        for graph in manifest.graphs
        for name in reversed(engine_names(manifest, graph, few_rows=True, providers=()))
    ]
    return tuple(dict.fromkeys(names))
