"""Networks as a graph holds them: each dense layer one ``Gemm``."""

import torch
from torch import Tensor, nn

from rnvp_deploy.networks import Network, ResidualBlock

__all__ = ["DenseLayer", "Emitted"]


class Emitted(nn.Module):
    """A network as a graph holds it: each dense layer one addmm, its weights (inputs, outputs)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_emitted(layer) for layer in network.layers])

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        for layer in self.layers:
            h = layer(h, context) if isinstance(layer, EmittedResidual) else layer(h)
        return h


class EmittedResidual(nn.Module):
    """A residual block, gated by the context or not."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.body = Emitted(block.body)
        self.gate = None if block.gate is None else DenseLayer(block.gate.weight, block.gate.bias)

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        change: Tensor = self.body(h, context)
        if self.gate is not None and context is not None:
            change = change * torch.sigmoid(self.gate(context))
        return h + change


class DenseLayer(nn.Module):
    """h ↦ h · weightᵀ + bias as one addmm."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().T.contiguous())
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, h: Tensor) -> Tensor:
        return torch.addmm(self.bias, h, self.weight)


def _emitted(layer: nn.Module) -> nn.Module:
    match layer:
        case nn.Linear():
            return DenseLayer(layer.weight, layer.bias)
        case ResidualBlock():
            return EmittedResidual(layer)
    return layer
