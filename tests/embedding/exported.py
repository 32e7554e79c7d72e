"""A few exported flows, with which every other language and engine is compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnvp_exporters
import rnvp_runtime
from rnvp_deploy import RNVPConfig
from tests.flows import NEAR_1, lively

__all__ = ["KINDS", "Bundle", "export"]

KINDS: dict[str, dict[str, Any]] = {
    "unconditional": {"dim": 2},
    "conditional": {"dim": 3, "context_dim": 2},
    "wide": {"dim": 43},
    "float64": {"dim": 4, "dtype": "float64"},
}


@dataclass(frozen=True)
class Bundle:
    """A bundle, its flow, and contexts for ``n`` samples."""

    path: Path
    flow: rnvp_runtime.Flow

    def context(self, n: int) -> NDArray[Any] | None:
        """Some (n, context_dim) float32 numbers; None for an unconditional flow."""
        if not self.flow.context_dim:
            return None
        rows = np.random.default_rng(n).standard_normal((n, self.flow.context_dim))
        return rows.astype(np.float32)

    def with_context(self, n: int) -> dict[str, Any]:
        """`context` as keyword or graph input."""
        context = self.context(n)
        return {} if context is None else {"context": context}


def export(path: Path, dim: int, context_dim: int = 0, dtype: str = "float32") -> Bundle:
    """The bundle of a small flow with lively weights, written to ``path``."""
    config = RNVPConfig(dim=dim, context_dim=context_dim, couplings=2, hidden=(32, 32))
    flow = lively(config, seed=dim, spread=0.1, units=NEAR_1)
    rnvp_exporters.export(flow.float(), path, formats=("onnx",), dtype=dtype)
    return Bundle(path, rnvp_runtime.load(path))
