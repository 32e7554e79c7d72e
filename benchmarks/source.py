"""The flow in plain eager PyTorch, as tutorials write it.

Each coupling has two networks, slices the halves, swaps them with ``flip``, joins them again, and
computes the base's density and the running totals. It shares its weights with a flow of
rnvp-deploy, so that both compute the same function.
"""

import math

import torch
from torch import Tensor, nn

from rnvp_deploy import RNVP
from rnvp_deploy.networks import Network
from rnvp_deploy.transforms import Coupling, DiagonalAffine

__all__ = ["Density", "Inverse", "StackedNVP"]


class R_NVP(nn.Module):
    """One coupling: z_a = a, z_b = b ⊙ exp(σ(a)) + μ(a); with ``flip`` the halves swap roles."""

    def __init__(self, dim: int, k: int, flip: bool, sig_net: Network, mu_net: Network) -> None:
        super().__init__()
        self.dim, self.k, self.flip = dim, k, flip
        self.sig_net = _sequential(sig_net)
        self.mu_net = _sequential(mu_net)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b = x[:, : self.k], x[:, self.k :]
        if self.flip:
            a, b = b, a
        sig = torch.tanh(self.sig_net(a))
        b = b * torch.exp(sig) + self.mu_net(a)
        z = torch.cat([b, a] if self.flip else [a, b], -1)
        log_pz = -0.5 * (z * z).sum(-1) - 0.5 * self.dim * math.log(2 * math.pi)
        return z, log_pz, sig.sum(-1)

    def inverse(self, z: Tensor) -> Tensor:
        a, b = z[:, : self.k], z[:, self.k :]
        if self.flip:
            a, b = b, a
        b = (b - self.mu_net(a)) * torch.exp(-torch.tanh(self.sig_net(a)))
        return torch.cat([b, a] if self.flip else [a, b], -1)


def _sequential(network: Network) -> nn.Sequential:
    """A network of dense layers with ReLU between, on the same weights."""
    linear = (layer if isinstance(layer, nn.Linear) else nn.ReLU() for layer in network.layers)
    return nn.Sequential(*linear)


class StackedNVP(nn.Module):
    """z, log_pz, log_jacob = flow(x): standardisation, then the couplings in turn."""

    loc: Tensor
    scale: Tensor

    def __init__(self, flow: RNVP) -> None:
        super().__init__()
        standardise, *couplings = flow.transforms
        assert isinstance(standardise, DiagonalAffine)
        self.register_buffer("loc", standardise.loc.clone())
        self.register_buffer("scale", torch.exp(standardise.log_scale))
        self.bijectors = nn.ModuleList()
        for i, coupling in enumerate(couplings):
            assert isinstance(coupling, Coupling)
            sig_net, mu_net = coupling.network("sig"), coupling.network("mu")
            assert sig_net is not None
            assert mu_net is not None
            flip = i % 2 == 1
            k = len(coupling.spec.active if flip else coupling.spec.passive)
            self.bijectors.append(R_NVP(flow.dim, k, flip, sig_net, mu_net))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = (x - self.loc) / self.scale
        total = -torch.log(self.scale).sum()
        for bijector in self.bijectors:
            z, log_pz, log_jacob = bijector(z)
            total = total + log_jacob
        return z, log_pz, total

    def inverse(self, z: Tensor) -> Tensor:
        for bijector in reversed(self.bijectors):
            assert isinstance(bijector, R_NVP)
            z = bijector.inverse(z)
        return z * self.scale + self.loc


class Density(nn.Module):
    """x ↦ log p(x): what exporters and compilers are given."""

    def __init__(self, flow: StackedNVP) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor) -> Tensor:
        _, log_pz, log_jacob = self.flow(x)
        log_prob: Tensor = log_pz + log_jacob
        return log_prob


class Inverse(nn.Module):
    """z ↦ x."""

    def __init__(self, flow: StackedNVP) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, z: Tensor) -> Tensor:
        return self.flow.inverse(z)
