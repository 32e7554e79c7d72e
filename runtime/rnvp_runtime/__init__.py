"""Run a trained R-NVP flow from its bundle, without PyTorch.

    import rnvp_runtime

    flow = rnvp_runtime.load("model.rnvp")
    flow.log_prob(x)               # (n,), nats
    flow.forward(x)                # (n, d), latents
    flow.log_prob_and_grad(x)      # (n,) and (n, d), the derivatives
    flow.inverse(z)                # (n, d)
    flow.sample(1000, seed=7)      # (1000, d); row i is always the same

Importing this package loads neither numpy nor onnxruntime. They are loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnvp_runtime.errors import (
    BundleError,
    EngineError,
    InputError,
    MissingExtraError,
    OutputError,
    RnvpError,
    TableError,
)

if TYPE_CHECKING:
    from rnvp_runtime.anomalies import Explanation, explain
    from rnvp_runtime.anomaly_columns import AnomalyColumns
    from rnvp_runtime.bundle.manifest import Manifest
    from rnvp_runtime.flow import Flow, load
    from rnvp_runtime.sampling import SampledRows, sample_table
    from rnvp_runtime.scoring import ScoredRows, score_table

__all__ = [
    "AnomalyColumns",
    "BundleError",
    "EngineError",
    "Explanation",
    "Flow",
    "InputError",
    "Manifest",
    "MissingExtraError",
    "OutputError",
    "RnvpError",
    "SampledRows",
    "ScoredRows",
    "TableError",
    "explain",
    "load",
    "sample_table",
    "score_table",
]

_MODULES = {
    "AnomalyColumns": "rnvp_runtime.anomaly_columns",
    "Explanation": "rnvp_runtime.anomalies",
    "explain": "rnvp_runtime.anomalies",
    "Flow": "rnvp_runtime.flow",
    "load": "rnvp_runtime.flow",
    "Manifest": "rnvp_runtime.bundle.manifest",
    "SampledRows": "rnvp_runtime.sampling",
    "sample_table": "rnvp_runtime.sampling",
    "ScoredRows": "rnvp_runtime.scoring",
    "score_table": "rnvp_runtime.scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
