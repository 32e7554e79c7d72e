"""The transforms of a coupling flow.

Each has ``forward(x, context) → (z, log_det)`` and ``inverse(z, context) → x`` with x, z: (n, d),
context: (n, c) or None, and log_det = log |det dz/dx|: (n,), in nats. Each is built from a frozen
description, its ``spec``, which a checkpoint stores.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from rnvp_deploy.elementwise import Elementwise, ElementwiseSpec
from rnvp_deploy.errors import ConfigError
from rnvp_deploy.maps import Affine, ElementwiseMap
from rnvp_deploy.networks import Network, Steps
from rnvp_deploy.plain_values import make_plain
from rnvp_deploy.transform import Transform

__all__ = [
    "Coupling",
    "CouplingSpec",
    "DiagonalAffine",
    "DiagonalAffineSpec",
    "Elementwise",
    "ElementwiseSpec",
    "Linear",
    "LinearSpec",
    "Permutation",
    "PermutationSpec",
    "Transform",
    "TransformSpec",
    "build",
]


@dataclass(frozen=True)
class CouplingSpec:
    """A coupling: the ``passive`` coordinates determine how the ``active`` ones move.

    passive, active: 0 … d − 1, each in one of the two.
    networks:     (name, steps) pairs. Each network reads the passive coordinates joined with the
                  context, and gives one parameter of ``map``, as named there; or one network
                  called ``joint`` gives all of them, in the map's order.
    map:          the elementwise map that moves each active coordinate.
    inverted:     swaps the two directions of the coupling.
    context_dim:  c, the number of conditions that the networks read; 0 if they ignore the context.
    """

    passive: tuple[int, ...]
    active: tuple[int, ...]
    networks: tuple[tuple[str, Steps], ...] = ()
    map: ElementwiseMap = field(default_factory=Affine)
    inverted: bool = False
    context_dim: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        if not self.active or sorted(self.passive + self.active) != list(range(self.dim)):
            raise ConfigError(
                f"a coupling's passive {self.passive} and active {self.active} coordinates must "
                "be 0 … d−1, each once, with at least one active"
            )
        if not self.inputs:
            raise ConfigError("a coupling must read something: a passive coordinate or a context")
        names = [name for name, _ in self.networks]
        known = {*self.map.parameters, "joint"}
        if len(set(names)) != len(names) or not known.issuperset(names):
            raise ConfigError(
                f"a coupling's networks are {names}; expected some of {sorted(known)}, each once"
            )
        if "joint" in names and len(names) > 1:
            raise ConfigError("a coupling has one joint network or separate networks, not both")

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.passive) + len(self.active)

    @property
    def inputs(self) -> int:
        """The number of inputs of its networks."""
        return len(self.passive) + self.context_dim

    def outputs(self, network: str) -> int:
        """The number of outputs of the network called ``network``."""
        sizes = self.map.parameters
        return len(self.active) * (sum(sizes.values()) if network == "joint" else sizes[network])


class Coupling(Transform):
    r"""Coupling (Dinh, Sohl-Dickstein and Bengio 2017, eq. 4–8).

    With a the passive and b the active coordinates of x, and g the elementwise map:

        z_a = a,  z_b = g(b; networks(a)),  log |det dz/dx| = Σ log |g'|.

    The network called ``joint`` is the attribute ``joint_net``; for the affine map, the networks
    of σ and μ are ``sig_net`` and ``mu_net``. A network that the spec lacks is None.
    """

    passive: Tensor
    active: Tensor
    order: Tensor

    def __init__(self, spec: CouplingSpec) -> None:
        super().__init__()
        self.spec = spec
        networks = dict(spec.networks)
        for name in (*spec.map.parameters, "joint"):
            network = Network(networks[name]) if name in networks else None
            setattr(self, f"{name}_net", network)
        index = torch.tensor(spec.passive + spec.active, dtype=torch.long)
        k = len(spec.passive)
        self.register_buffer("passive", index[:k], persistent=False)
        self.register_buffer("active", index[k:], persistent=False)
        self.register_buffer("order", torch.argsort(index), persistent=False)

    def network(self, name: str) -> Network | None:
        """The network called ``name``; None if the coupling has none."""
        network = getattr(self, f"{name}_net")
        assert network is None or isinstance(network, Network)
        return network

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(x, context, inverse=self.spec.inverted)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self._move(z, context, inverse=not self.spec.inverted)[0]

    def _move(self, x: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        a, b = x[:, self.passive], x[:, self.active]
        given = self._map_parameters(a, context)
        move = self.spec.map.inverse if inverse else self.spec.map.forward
        b, log_derivative = move(b, given)
        return torch.cat([a, b], -1)[:, self.order], log_derivative.sum(-1)

    def _map_parameters(self, a: Tensor, context: Tensor | None) -> dict[str, Tensor]:
        seen = torch.cat([a, context], -1) if self.spec.context_dim and context is not None else a
        if (joint := self.network("joint")) is not None:
            names = list(self.spec.map.parameters)
            sizes = [self.spec.outputs(name) for name in names]
            return dict(zip(names, joint(seen, context).split(sizes, -1), strict=True))
        networks = {name: self.network(name) for name in self.spec.map.parameters}
        return {name: net(seen, context) for name, net in networks.items() if net is not None}


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
    """The module of a ``DiagonalAffineSpec``. log |det dz/dx| = −Σ log_scale."""

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
    def initialise(self, x: Tensor) -> None:
        if self.spec.from_data:
            constant = (x == x[0]).all(0)  # a condition may be; it becomes 0, in its own units
            x = x.double()  # squares of 1e-30 or 1e25 are outside float32's range
            deviation = x.std(0, correction=0).masked_fill(constant, 1.0)
            self.loc.copy_(torch.where(constant, x[0], x.mean(0)))
            self.log_scale.copy_(torch.log(deviation))


@dataclass(frozen=True)
class PermutationSpec:
    """z[:, i] = x[:, order[i]]."""

    order: tuple[int, ...]

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.order)

    def __post_init__(self) -> None:
        make_plain(self)
        if sorted(self.order) != list(range(len(self.order))):
            raise ConfigError(f"{self.order} is not a permutation of 0 … {len(self.order) - 1}")


class Permutation(Transform):
    """The module of a ``PermutationSpec``. log |det| = 0."""

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

    In the LU form this is Σ log|diag U|; a dense W is factorised at each call.
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


TransformSpec: TypeAlias = (
    CouplingSpec | DiagonalAffineSpec | ElementwiseSpec | PermutationSpec | LinearSpec
)


def build(spec: TransformSpec) -> Transform:
    """The module of ``spec``, with initial weights."""
    match spec:
        case CouplingSpec():
            return Coupling(spec)
        case DiagonalAffineSpec():
            return DiagonalAffine(spec)
        case ElementwiseSpec():
            return Elementwise(spec)
        case PermutationSpec():
            return Permutation(spec)
        case LinearSpec():
            return Linear(spec)
