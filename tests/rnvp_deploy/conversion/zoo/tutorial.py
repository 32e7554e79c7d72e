"""The R_NVP of tutorials, rewritten here from its equations.

z_a = a,  z_b = b ⊙ exp(σ(a)) + μ(a);  b = (z_b − μ(a)) ⊙ exp(−σ(a))
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from rnvp_deploy.conversion.float64 import in_float64

from . import Library, Maker, lively

# Notebooks define it as a global in float32, for a flow of any dtype.
BASE = MultivariateNormal(torch.zeros(2), torch.eye(2))
BASES = {2: BASE, 4: MultivariateNormal(torch.zeros(4), torch.eye(4))}


class R_NVP(nn.Module):
    def __init__(self, d: int, k: int, hidden: int, activation: Any = nn.LeakyReLU) -> None:
        super().__init__()
        self.d, self.k = d, k
        self.sig_net = nn.Sequential(nn.Linear(k, hidden), activation(), nn.Linear(hidden, d - k))
        self.mu_net = nn.Sequential(nn.Linear(k, hidden), activation(), nn.Linear(hidden, d - k))

    def forward(self, x: Tensor, flip: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        a, b = x[:, : self.k], x[:, self.k :]
        if flip:
            a, b = b, a
        sig = self.sig_net(a)
        z_b = b * torch.exp(sig) + self.mu_net(a)
        z = torch.cat([z_b, a] if flip else [a, z_b], dim=-1)
        return z, BASES[self.d].log_prob(z), sig.sum(-1)

    def inverse(self, Z: Tensor, flip: bool = False) -> Tensor:
        a, z_b = Z[:, : self.k], Z[:, self.k :]
        if flip:
            a, z_b = z_b, a
        b = (z_b - self.mu_net(a)) * torch.exp(-self.sig_net(a))
        return torch.cat([b, a] if flip else [a, b], dim=-1)


class stacked_NVP(nn.Module):
    def __init__(self, d: int, k: int, hidden: int, n: int, activation: Any = nn.LeakyReLU) -> None:
        super().__init__()
        self.bijectors = nn.ModuleList([R_NVP(d, k, hidden, activation) for _ in range(n)])
        self.flips = [i % 2 == 1 for i in range(n)]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_jacobs = []
        for bijector, flip in zip(self.bijectors, self.flips, strict=True):
            x, log_pz, log_jacob = bijector(x, flip=flip)
            log_jacobs.append(log_jacob)
        return x, log_pz, sum(log_jacobs)

    def inverse(self, z: Tensor) -> Tensor:
        for bijector, flip in zip(reversed(self.bijectors), reversed(self.flips), strict=True):
            z = bijector.inverse(z, flip=flip)
        return z


class OtherNames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale_net = nn.Linear(1, 1)

    forward: Callable[..., Any]


def misfit() -> Any:
    model = stacked_NVP(4, 2, 8, 2)
    model.flips = [False]
    return model.eval()


def lopsided() -> Any:
    return stacked_NVP(4, 1, 8, 2).eval()


SUPPORTED: dict[str, Maker] = {
    "R_NVP alone": lambda: lively(R_NVP(4, 1, 16)),
    "R_NVP, tanh": lambda: lively(R_NVP(4, 3, 16, nn.Tanh)),
    "stacked_NVP": lambda: lively(stacked_NVP(4, 2, 16, 5)),
}

REFUSED: dict[str, Maker] = {
    "training mode": lambda: stacked_NVP(4, 2, 16, 2),
    "fewer flips than bijectors": misfit,
    "flipped halves of unequal sizes": lopsided,
    "attributes other than sig_net, mu_net and k": lambda: OtherNames().eval(),
}


def in_its_dtype(x: Tensor) -> AbstractContextManager[None]:
    """Evaluate in float64 for float64 rows, since BASES are in float32."""
    return in_float64() if x.dtype == torch.float64 else nullcontext()


def log_prob(model: Any, x: Tensor, c: Tensor | None) -> Tensor:
    with in_its_dtype(x):
        _, log_pz, log_jacob = model(x)
    return log_pz + log_jacob


def noise(model: Any, x: Tensor, c: Tensor | None) -> Tensor:
    with in_its_dtype(x):
        return model(x)[0]


LIBRARY = Library(
    name="the tutorial's R_NVP",
    version="",
    converter="from_tutorial",
    log_prob=log_prob,
    noise=noise,
    data=lambda model, z, c: model.inverse(z),
    supported=SUPPORTED,
    refused=REFUSED,
    trainable=lambda: stacked_NVP(2, 1, 32, 6, nn.Tanh),
    loss=lambda model, x: -sum(model(x)[1:]).mean(),
)
