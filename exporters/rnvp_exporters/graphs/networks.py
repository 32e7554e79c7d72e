"""Networks as a graph holds them: each dense layer is one ``Gemm``."""

import torch
from torch import Tensor, nn

from rnvp_deploy.ir import Array, Dense, Layer, Network, Residual
from rnvp_deploy.ir.building import build_network

__all__ = ["GraphDense", "GraphNetwork"]


class GraphNetwork(nn.Module):
    """A network, h (n, inputs) [, context (n, c)] → (n, outputs)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers = nn.ModuleList(map(_layer, network))

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        for layer in self.layers:
            h = layer(h, context) if isinstance(layer, GraphResidual) else layer(h)
        return h


class GraphDense(nn.Module):
    """h ↦ h · weightᵀ + bias as one addmm, its weight stored as (inputs, outputs)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Array, bias: Array) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(weight.T).contiguous())
        self.register_buffer("bias", torch.tensor(bias))

    def forward(self, h: Tensor) -> Tensor:
        return torch.addmm(self.bias, h, self.weight)


class GraphResidual(nn.Module):
    """A residual block, which the context may gate."""

    def __init__(self, block: Residual) -> None:
        super().__init__()
        self.body = GraphNetwork(block.body)
        self.gate = None if block.gate is None else GraphDense(block.gate.weight, block.gate.bias)

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        change: Tensor = self.body(h, context)
        if self.gate is not None and context is not None:
            change = change * torch.sigmoid(self.gate(context))
        return h + change


def _layer(layer: Layer) -> nn.Module:
    match layer:
        case Dense(weight, bias):
            return GraphDense(weight, bias)
        case Residual():
            return GraphResidual(layer)
    return build_network((layer,)).layers[0]
