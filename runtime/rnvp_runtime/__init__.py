"""Run a trained R-NVP flow from its bundle: numbers in, numbers out, no PyTorch.

    import rnvp_runtime

    flow = rnvp_runtime.load("model.rnvp")
    flow.log_prob(x)               # (n,), nats
    flow.forward(x)                # (n, d), latents
    flow.inverse(z)                # (n, d)
    flow.sample(1000, seed=7)      # (1000, d); row i is the same everywhere

Importing this package loads neither numpy nor onnxruntime; they come when first needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnvp_runtime.errors import BundleError, InputError, MissingExtraError, RnvpError, TableError

if TYPE_CHECKING:
    from rnvp_runtime.flow import Flow, load
    from rnvp_runtime.manifest import Manifest

__all__ = [
    "BundleError",
    "Flow",
    "InputError",
    "Manifest",
    "MissingExtraError",
    "RnvpError",
    "TableError",
    "load",
]

_HOMES = {
    "Flow": "rnvp_runtime.flow",
    "load": "rnvp_runtime.flow",
    "Manifest": "rnvp_runtime.manifest",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
