"""Bundles for the tests of this folder."""

from pathlib import Path

import torch

import rnvp_exporters
from rnvp_deploy import RNVP, RNVPConfig

__all__ = ["export"]


def export(
    path: Path, dim: int, context_dim: int = 0, dtype: str = "float32", seed: int | None = None
) -> None:
    """The bundle of a flow of default size whose weights are lively."""
    generator = torch.Generator().manual_seed(dim if seed is None else seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    flow = RNVP(RNVPConfig(dim=dim, context_dim=context_dim))
    flow.initialise(2 * draw(500, dim) + 1, draw(500, context_dim) if context_dim else None)
    with torch.no_grad():
        for weights in flow.parameters():
            weights.add_(0.04 * draw(*weights.shape))
    rnvp_exporters.export(flow, path, formats=("onnx",), dtype=dtype)
