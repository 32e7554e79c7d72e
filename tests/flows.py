"""Flows of every kind, with weights like those of a trained flow.

No weight has its initial value. An initial flow is nearly the identity, so a test on it would not
show a fault.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.maps import MAPS as MAP_CLASSES
from rnvp_deploy.maps import ElementwiseMap
from rnvp_deploy.networks import Activation, mlp
from rnvp_deploy.scales import SCALES as SCALE_CLASSES
from rnvp_deploy.spec import FlowSpec
from rnvp_deploy.transforms import CouplingSpec, PermutationSpec

SCALES = {
    f"{name} {i}" if i else name: scale
    for name, kind in SCALE_CLASSES.items()
    for i, scale in enumerate(kind.examples())
}
"""Every scale function, with the parameters of its examples."""

MAPS = {
    f"{name} {i}" if i else name: value
    for name, kind in MAP_CLASSES.items()
    for i, value in enumerate(kind.examples())
}
"""Every elementwise map, with the parameters of its examples."""

CONFIGS = {
    "two coordinates": RNVPConfig(dim=2, hidden=(16, 16)),
    "one-wide halves": RNVPConfig(dim=5, split=1, hidden=(16,)),
    "odd": RNVPConfig(dim=7, hidden=(16, 16), couplings=4),
    "separate networks": RNVPConfig(dim=4, joint=False, hidden=(16, 16), couplings=4),
    "permuted": RNVPConfig(dim=6, mixing="permute", hidden=(16, 16), couplings=4),
    "actnorm": RNVPConfig(dim=6, mixing="permute", actnorm=True, hidden=(16, 16), couplings=4),
    "linear": RNVPConfig(dim=4, mixing="lu", actnorm=True, hidden=(16, 16), couplings=4),
    "residual": RNVPConfig(dim=4, residual=True, hidden=(16, 16), couplings=4),
    "given": RNVPConfig(dim=3, context_dim=2, hidden=(16, 16), couplings=4),
    "gated": RNVPConfig(dim=4, context_dim=1, residual=True, hidden=(16, 16), couplings=4),
    "one coordinate, given": RNVPConfig(dim=1, context_dim=2, hidden=(16,), couplings=2),
    "no standardisation": RNVPConfig(dim=2, standardise=False, hidden=(16,), couplings=2),
    "one coupling": RNVPConfig(dim=3, couplings=1, hidden=(16,), mixing="permute"),
    "wide": RNVPConfig(dim=64, hidden=(32, 32), couplings=4),
}


@dataclass(frozen=True)
class Units:
    """Location and scale of data and of contexts."""

    loc: float
    scale: float
    context_loc: float
    context_scale: float


FAR_FROM_1 = Units(30.0, 5.0, 100.0, 20.0)
NEAR_1 = Units(1.0, 2.0, 0.0, 1.0)


def noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers of a tensor's shape and dtype; both dtypes get the same draw."""
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)


@torch.no_grad()
def perturb(values: Iterable[Tensor], spread: float, generator: torch.Generator) -> None:
    """Add spread × N(0, 1) to every floating-point tensor, in place."""
    for value in values:
        if value.is_floating_point():
            value += spread * noise(value, generator)


def lively(
    config: RNVPConfig | FlowSpec, seed: int = 0, spread: float = 0.08, units: Units = FAR_FROM_1
) -> RNVP:
    """A float64 flow in evaluation mode. No weight has its initial value.

    Args:
        config: The configuration or specification of the flow.
        seed: The seed of the initial weights, the rows and the perturbation.
        spread: The standard deviation of the noise that is added to each weight.
        units: The units of the 256 rows that set the standardisation.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = RNVP(config).double()
        x = units.loc + units.scale * torch.randn(256, config.dim, dtype=torch.float64)
    flow.initialise(x, some_context(flow, 256, units))
    perturb(flow.parameters(), spread, torch.Generator().manual_seed(seed))
    return flow.eval().requires_grad_(False)


def map_spec(elementwise: ElementwiseMap, *, permuted: bool = False) -> FlowSpec:
    """Three couplings in 5 dimensions with an elementwise map; the second coupling is inverted.

    Args:
        elementwise: The map.
        permuted: Whether permutations lie between the couplings. The export then keeps all
            coordinates in one tensor.
    """
    first, second = (0, 1), (2, 3, 4)

    def coupling(passive: tuple[int, ...], active: tuple[int, ...], inverted: bool) -> CouplingSpec:
        networks = tuple(
            (name, mlp(len(passive), (8,), len(active) * size, Activation("silu")))
            for name, size in elementwise.parameters.items()
        )
        return CouplingSpec(passive, active, networks, elementwise, inverted)

    couplings = (
        coupling(first, second, False),
        coupling(second, first, True),
        coupling(first, second, False),
    )
    mixing = (PermutationSpec((3, 0, 4, 1, 2)),) if permuted else ()
    return FlowSpec(5, 0, (couplings[0], *mixing, couplings[1], *mixing, couplings[2]))


def some_context(flow: RNVP, rows: int, units: Units = FAR_FROM_1) -> Tensor | None:
    """(rows, c) float64 contexts; None for an unconditional flow."""
    if not flow.context_dim:
        return None
    draw = torch.Generator().manual_seed(5)
    context = torch.randn(rows, flow.context_dim, generator=draw, dtype=torch.float64)
    return units.context_loc + units.context_scale * context


def some_data(flow: RNVP, rows: int = 64, units: Units = FAR_FROM_1) -> Tensor:
    """(rows, d) float64 points: the images of standard normal latents."""
    draw = torch.Generator().manual_seed(6)
    z = torch.randn(rows, flow.dim, generator=draw, dtype=torch.float64)
    return flow.inverse(z, some_context(flow, rows, units))
