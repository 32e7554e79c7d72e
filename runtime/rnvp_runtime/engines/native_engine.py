"""The small C library of `rnvp_runtime.native` as an engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnvp_runtime.engines.engine import (
    DEFAULT_OPTIONS,
    Array,
    OpenOptions,
    Provider,
    Run,
    Signature,
)
from rnvp_runtime.engines.providers import refuse_providers
from rnvp_runtime.errors import BundleError

if TYPE_CHECKING:
    from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["Native"]

_MAPS = {"density": ("forward", "x"), "inverse": ("inverse", "z"), "gradient": ("gradient", "x")}


@dataclass(frozen=True)
class Native:
    """The small C library that comes with this package; see `rnvp_runtime.engines.Engine`.

    All graphs are in one file, ``flow.bin``: ``signature`` says which to open.
    """

    format: str = "native"
    keeps_nan: bool = True
    wrong_graphs: Mapping[str, str] = field(default_factory=dict)

    def check(self, manifest: "Manifest", providers: Sequence[Provider] = ()) -> None:
        """See `rnvp_runtime.engines.Engine.check`."""
        from rnvp_runtime.native.library import load_library

        load_library()
        refuse_providers("native", providers)

    def open(
        self,
        content: bytes,
        outputs: Sequence[str],
        *,
        signature: Signature | None = None,
        options: OpenOptions = DEFAULT_OPTIONS,
    ) -> Run:
        """See `rnvp_runtime.engines.Engine.open`. A signature is needed: it names the graph."""
        from rnvp_runtime.native.library import NativeFlow

        refuse_providers("native", options.providers)
        if signature is None:
            raise BundleError("flow.bin holds every graph: a signature must say which to open")
        graph, names = signature.graph, tuple(outputs)
        if graph != "sampler" and graph not in _MAPS:
            raise BundleError(f"the native engine has no {graph} graph: use the engine onnxruntime")
        try:
            flow = NativeFlow(content, gradient=graph == "gradient")
        except BundleError as error:
            raise BundleError(f"{options.source}: {error}") from None
        if graph == "sampler":

            def sample(inputs: Mapping[str, Array]) -> list[Array]:
                return flow.sample(
                    int(inputs["seed"]),
                    int(inputs["start"]),
                    int(inputs["count"]),
                    float(inputs["temperature"]),
                    inputs.get("context"),
                    names,
                )

            return sample
        method, rows = _MAPS[graph]
        function: Any = getattr(flow, method)
        return lambda inputs: function(inputs[rows], inputs.get("context"), names)
