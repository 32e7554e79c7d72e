"""Bundles for the tests of this folder."""

from pathlib import Path

import rnvp_exporters
from rnvp_deploy import RNVPConfig
from tests.flows import NEAR_1, lively

__all__ = ["export"]


def export(
    path: Path, dim: int, context_dim: int = 0, dtype: str = "float32", seed: int | None = None
) -> None:
    """Export a flow of default size with perturbed weights."""
    config = RNVPConfig(dim=dim, context_dim=context_dim)
    flow = lively(config, seed=dim if seed is None else seed, spread=0.04, units=NEAR_1)
    rnvp_exporters.export(flow.float(), path, formats=("onnx",), dtype=dtype)
