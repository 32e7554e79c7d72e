"""The native engine in the shape that `rnvp_runtime.engines` registers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnvp_runtime.errors import BundleError, InputError
from rnvp_runtime.native.library import NativeFlow, load_library

if TYPE_CHECKING:
    from numpy.typing import NDArray

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

    def check(self, manifest: Any, providers: Sequence[Any] = ()) -> None:
        """See `rnvp_runtime.engines.Engine.check`."""
        load_library()
        if providers:
            raise InputError("the engine native takes no providers: leave them out")

    def open(
        self, content: bytes, outputs: Sequence[str], *, signature: Any = None, options: Any = None
    ) -> Any:
        """See `rnvp_runtime.engines.Engine.open`."""
        if options is not None and options.providers:
            raise InputError("the engine native takes no providers: leave them out")
        if signature is None:
            raise BundleError("flow.bin holds every graph: a signature must say which to open")
        graph, names = signature.graph, tuple(outputs)
        flow = NativeFlow(content, gradient=graph == "gradient")
        if graph == "sampler":

            def sample(inputs: Mapping[str, "NDArray[Any]"]) -> list["NDArray[Any]"]:
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
        function = getattr(flow, method)
        return lambda inputs: function(inputs[rows], inputs.get("context"), names)
