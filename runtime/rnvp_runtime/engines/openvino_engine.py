"""OpenVINO, an engine of the extra ``openvino``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any

from rnvp_runtime.bundle.pruning import pruned
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
from rnvp_runtime.extras import import_extra

if TYPE_CHECKING:
    from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["OpenVino"]


def _wrong_graphs() -> dict[str, str]:
    return {
        "sampler": "OpenVINO computes uint64 in 32 bits and raises no error, so its samples are "
        "wrong: draw noise with rnvp_runtime.stream.normals and run inverse.onnx on it"
    }


@dataclass(frozen=True)
class OpenVino:
    """OpenVINO's CPU plugin, on one thread a call; see `rnvp_runtime.engines.Engine`.

    It computes ``density.onnx`` and ``inverse.onnx`` well. It has no uint64 arithmetic and
    raises no error, so that ``sampler.onnx`` gives wrong samples.
    """

    format: str = "onnx"
    keeps_nan: bool = False
    wrong_graphs: Mapping[str, str] = field(default_factory=_wrong_graphs)

    def check(self, manifest: "Manifest", providers: Sequence[Provider] = ()) -> None:
        """See `rnvp_runtime.engines.Engine.check`."""
        import_extra("openvino")
        refuse_providers("openvino", providers)

    def open(
        self,
        content: bytes,
        outputs: Sequence[str],
        *,
        signature: Signature | None = None,
        options: OpenOptions = DEFAULT_OPTIONS,
    ) -> Run:
        """See `rnvp_runtime.engines.Engine.open`."""
        refuse_providers("openvino", options.providers)
        core = _core()
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # the default is bfloat16 where the CPU has it
            "INFERENCE_NUM_THREADS": 1,
        }
        try:
            model = core.compile_model(core.read_model(pruned(content, outputs)), "CPU", settings)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"OpenVINO cannot open {options.source}: {reason}") from None
        threads = local()  # a request serves one call at a time

        def run(inputs: Mapping[str, Array]) -> list[Array]:
            if not hasattr(threads, "request"):
                threads.request = model.create_infer_request()
            results = threads.request.infer(dict(inputs))
            return [results[name] for name in outputs]

        return run


@cache
def _core() -> Any:
    """OpenVINO's core, one for the process, which is never released.

    Its CPU plugin sets a stack for signal handlers, and frees it when the core is released: the
    next Ctrl-C then ended the process with a segmentation fault.
    """
    return import_extra("openvino").Core()
