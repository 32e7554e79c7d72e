"""The three flows that everything is measured on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.networks import Network
from rnvp_deploy.transforms import Coupling

__all__ = ["FLOWS", "FlowSize", "data", "make"]


@dataclass(frozen=True)
class FlowSize:
    """dim coordinates, couplings whose two networks have these hidden widths each."""

    dim: int
    hidden: tuple[int, ...]
    couplings: int

    @property
    def name(self) -> str:
        return f"d{self.dim}"

    def __str__(self) -> str:
        return f"d {self.dim}, {self.hidden[0]}×{len(self.hidden)}, {self.couplings} couplings"


FLOWS: dict[str, FlowSize] = {
    size.name: size
    for size in (
        FlowSize(2, (64, 64), 6),
        FlowSize(8, (128, 128), 8),
        FlowSize(43, (100, 100), 10),
    )
}


@torch.no_grad()
def make(size: FlowSize) -> RNVP:
    """A flow as after training: standardised, every network well away from zero.

    Its last layers are damped so that samples keep the scale of the data, as a trained flow's do;
    no competitor is faster or slower for it.
    """
    torch.manual_seed(size.dim)
    flow = RNVP(RNVPConfig(dim=size.dim, hidden=size.hidden, couplings=size.couplings, joint=False))
    for transform in flow.transforms:
        if isinstance(transform, Coupling):
            for network in (transform.network("sig"), transform.network("mu")):
                assert network is not None
                _fill(network)
    flow.initialise(torch.from_numpy(data(size, 4096)))
    return flow.eval().requires_grad_(False)


def _fill(network: Network) -> None:
    layers = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=(1.5 / layer.in_features) ** 0.5)
        nn.init.normal_(layer.bias, std=0.1)
    layers[-1].weight *= 0.2
    layers[-1].bias *= 0.2  # type: ignore[misc]


def data(size: FlowSize, rows: int) -> NDArray[np.float32]:
    """Correlated rows in units of their own: (rows, dim)."""
    draw = np.random.default_rng(size.dim)
    mixing = draw.normal(size=(size.dim, size.dim)) / size.dim**0.5 + np.eye(size.dim)
    loc, scale = draw.normal(size=size.dim), np.exp(draw.normal(size=size.dim))
    rows_of_x = (draw.normal(size=(rows, size.dim)) @ mixing) * scale + loc
    return np.asarray(rows_of_x, np.float32)
