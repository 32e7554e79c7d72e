"""The four transforms that every affine coupling flow is made of.

Each has ``forward(x, context) → (z, log_det)`` and ``inverse(z, context) → x`` with x, z: (n, d),
context: (n, c) or None, and log_det = log |det dz/dx|: (n,), in nats. Each is built from a frozen
description of its own, its ``spec``, which a checkpoint stores.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from rnvp_deploy.errors import ConfigError
from rnvp_deploy.networks import Network, Steps
from rnvp_deploy.scales import Scale, Tanh

__all__ = [
    "Coupling",
    "CouplingSpec",
    "DiagonalAffine",
    "DiagonalAffineSpec",
    "Linear",
    "LinearSpec",
    "Permutation",
    "PermutationSpec",
    "Transform",
    "TransformSpec",
    "build",
]


class Transform(nn.Module, ABC):
    """A bijection of R^d with a tractable Jacobian."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (n, d) → z (n, d) and log |det dz/dx| (n,)."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """z (n, d) → the x (n, d) with forward(x) = z."""

    def initialise(self, x: Tensor) -> None:
        """Set what is set from data, once, before training: x (n, d) as it arrives here."""


@dataclass(frozen=True)
class CouplingSpec:
    """An affine coupling: coordinates ``active`` move, as the ``passive`` ones say.

    ``sig_net`` and ``mu_net`` give u (whose scale function is σ) and μ, each (n, len(active)),
    from the passive coordinates and the ``context_dim`` conditions (none: it ignores the
    context), joined. ``joint_net`` does both at once: its
    outputs are all of u, then all of μ. No u (``sig_net`` None): σ = 0, a volume-preserving
    coupling. No μ: μ = 0. ``inverted`` swaps the two directions of the coupling.
    """

    passive: tuple[int, ...]
    active: tuple[int, ...]
    sig_net: Steps | None = None
    mu_net: Steps | None = None
    joint_net: Steps | None = None
    scale: Scale = field(default_factory=Tanh)
    inverted: bool = False
    context_dim: int = 0

    def __post_init__(self) -> None:
        dim = len(self.passive) + len(self.active)
        if not self.active or sorted(self.passive + self.active) != list(range(dim)):
            raise ConfigError(
                f"a coupling's passive {self.passive} and active {self.active} coordinates must "
                "be 0 … d−1, each once, with at least one active"
            )
        if not self.inputs:
            raise ConfigError("a coupling must see something: a passive coordinate or a context")
        if self.joint_net and (self.sig_net or self.mu_net):
            raise ConfigError("a coupling has one joint_net or a sig_net and a mu_net, not both")

    @property
    def inputs(self) -> int:
        """How many numbers its networks see."""
        return len(self.passive) + self.context_dim


class Coupling(Transform):
    r"""Affine coupling (Dinh, Sohl-Dickstein and Bengio 2017, eq. 4–8).

    With a the passive and b the active coordinates of x:

        z_a = a,  z_b = b ⊙ exp(σ(a)) + μ(a),  log |det dz/dx| = Σ σ(a).

    Inverted: z_b = (b − μ(a)) ⊙ exp(−σ(a)).
    """

    passive: Tensor
    active: Tensor
    order: Tensor

    def __init__(self, spec: CouplingSpec) -> None:
        super().__init__()
        self.spec = spec
        self.sig_net = Network(spec.sig_net) if spec.sig_net else None
        self.mu_net = Network(spec.mu_net) if spec.mu_net else None
        self.joint_net = Network(spec.joint_net) if spec.joint_net else None
        index = torch.tensor(spec.passive + spec.active, dtype=torch.long)
        k = len(spec.passive)
        self.register_buffer("passive", index[:k], persistent=False)
        self.register_buffer("active", index[k:], persistent=False)
        self.register_buffer("order", torch.argsort(index), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(x, context, inverse=self.spec.inverted)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self._move(z, context, inverse=not self.spec.inverted)[0]

    def _move(self, x: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        a, b = x[:, self.passive], x[:, self.active]
        sigma, mu = self._sigma_mu(a, b, context)
        if inverse:
            sigma = -sigma
            b = (b - mu) * torch.exp(sigma)
        else:
            b = b * torch.exp(sigma) + mu
        return torch.cat([a, b], -1)[:, self.order], sigma.sum(-1)

    def _sigma_mu(self, a: Tensor, b: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        seen = torch.cat([a, context], -1) if self.spec.context_dim and context is not None else a
        if self.joint_net is not None:
            u, mu = self.joint_net(seen, context).chunk(2, -1)
            return self.spec.scale(u), mu
        nothing = torch.zeros_like(b)
        sigma = nothing if self.sig_net is None else self.spec.scale(self.sig_net(seen, context))
        mu = nothing if self.mu_net is None else self.mu_net(seen, context)
        return sigma, mu


@dataclass(frozen=True)
class DiagonalAffineSpec:
    """z = (x − loc) · exp(−log_scale), coordinate by coordinate.

    ``from_data``: before training, loc and log_scale are set so that z has mean 0 and standard
    deviation 1 (standardisation; ActNorm of Kingma and Dhariwal 2018). ``trainable``: gradients
    then move them further.
    """

    dim: int
    from_data: bool = False
    trainable: bool = True


class DiagonalAffine(Transform):
    """What ``DiagonalAffineSpec`` describes. log |det dz/dx| = −Σ log_scale."""

    loc: Tensor
    log_scale: Tensor

    def __init__(self, spec: DiagonalAffineSpec) -> None:
        super().__init__()
        self.spec = spec
        for name in ("loc", "log_scale"):
            value = torch.zeros(spec.dim)
            if spec.trainable:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = (x - self.loc) * torch.exp(-self.log_scale)
        return z, -self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z * torch.exp(self.log_scale) + self.loc

    @torch.no_grad()
    def restricted(self, columns: list[int]) -> "DiagonalAffine":
        """The same affine of these coordinates alone, in this order."""
        piece = DiagonalAffine(DiagonalAffineSpec(len(columns), trainable=False)).to(self.loc)
        piece.loc.copy_(self.loc[columns])
        piece.log_scale.copy_(self.log_scale[columns])
        return piece

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        if self.spec.from_data:
            x = x.double()  # squares of 1e-30 or 1e25 are outside float32's range
            self.loc.copy_(x.mean(0))
            self.log_scale.copy_(torch.log(x.std(0, correction=0)))


@dataclass(frozen=True)
class PermutationSpec:
    """z[:, i] = x[:, order[i]]."""

    order: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.order) != list(range(len(self.order))):
            raise ConfigError(f"not a permutation of 0 … {len(self.order) - 1}: {self.order}")


class Permutation(Transform):
    """What ``PermutationSpec`` describes. log |det| = 0."""

    order: Tensor
    back: Tensor

    def __init__(self, spec: PermutationSpec) -> None:
        super().__init__()
        self.spec = spec
        order = torch.tensor(spec.order, dtype=torch.long)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", torch.argsort(order), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z[:, self.back]


@dataclass(frozen=True)
class LinearSpec:
    """z = W x + bias. ``lu``: W = P L U with a fixed P and trainable factors; else W is dense."""

    dim: int
    lu: bool = True


class Linear(Transform):
    """An invertible linear map (Kingma and Dhariwal 2018 §3.2): log |det dz/dx| = log |det W|.

    Of the LU form only Σ log|diag U| is summed; a dense W costs a factorisation each call.
    """

    permutation: Tensor

    def __init__(self, spec: LinearSpec) -> None:
        super().__init__()
        self.spec = spec
        self.bias = nn.Parameter(torch.zeros(spec.dim))
        if spec.lu:
            self.register_buffer("permutation", torch.arange(spec.dim))
            self.lower = nn.Parameter(torch.zeros(spec.dim, spec.dim))
            self.upper = nn.Parameter(torch.zeros(spec.dim, spec.dim))
            self.log_diagonal = nn.Parameter(torch.zeros(spec.dim))
        else:
            self.weight = nn.Parameter(torch.eye(spec.dim))

    def matrix(self) -> Tensor:
        """W: (d, d)."""
        if not self.spec.lu:
            return self.weight
        lower, upper = self._factors()
        return (lower @ upper)[torch.argsort(self.permutation)]

    def log_abs_det(self) -> Tensor:
        """log |det W|: a scalar, in nats."""
        if self.spec.lu:
            return self.log_diagonal.sum()
        _, log_abs_det = torch.slogdet(self.weight)
        return log_abs_det

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x @ self.matrix().T + self.bias, self.log_abs_det().expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        y = (z - self.bias).T
        x: Tensor
        if self.spec.lu:
            lower, upper = self._factors()
            y = torch.linalg.solve_triangular(lower, y[self.permutation], upper=False)
            x = torch.linalg.solve_triangular(upper, y, upper=True)
        else:
            x = torch.linalg.solve(self.weight, y)
        return x.T

    def _factors(self) -> tuple[Tensor, Tensor]:
        identity = torch.eye(self.spec.dim, dtype=self.lower.dtype, device=self.lower.device)
        lower = torch.tril(self.lower, -1) + identity
        return lower, torch.triu(self.upper, 1) + torch.diag(torch.exp(self.log_diagonal))


TransformSpec: TypeAlias = CouplingSpec | DiagonalAffineSpec | PermutationSpec | LinearSpec


def build(spec: TransformSpec) -> Transform:
    """The module that ``spec`` describes, with initial weights."""
    match spec:
        case CouplingSpec():
            return Coupling(spec)
        case DiagonalAffineSpec():
            return DiagonalAffine(spec)
        case PermutationSpec():
            return Permutation(spec)
        case LinearSpec():
            return Linear(spec)
