"""The converter runs a model to find its number of conditions, for any first layer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rnvp_deploy
from tests.rnvp_deploy.conversion.zoo import lively, nflows, zuko
from tests.rnvp_deploy.conversion.zoo.nflows import (
    MLP,
    D,
    ResidualNet,
    Wrapped,
    coupling,
    distributions,
    flow,
    residual,
)

pytestmark = pytest.mark.filterwarnings("ignore")

C = 3

ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(C, 2 * D),
    "LayerNorm first": lambda: nn.Sequential(nn.LayerNorm(C), nn.Linear(C, 2 * D)),
    "LayerNorm without weights first": lambda: nn.Sequential(
        nn.LayerNorm(C, elementwise_affine=False), nn.Linear(C, 2 * D)
    ),
    "Dropout first": lambda: nn.Sequential(nn.Dropout(0.2), nn.Linear(C, 2 * D)),
    "BatchNorm1d first": lambda: nn.Sequential(nn.BatchNorm1d(C), nn.Linear(C, 2 * D)),
    "activation first": lambda: nn.Sequential(nn.Tanh(), nn.Linear(C, 2 * D)),
    "no sized layer, in a module of one's own": lambda: Wrapped(
        nn.Sequential(nn.Dropout(0.1), MLP([C], [2 * D], [8]))
    ),
    "ResidualNet": lambda: ResidualNet(C, 2 * D, 8),
}


def ignoring(inputs: int, outputs: int) -> nn.Module:
    """A network that is given the context and ignores it."""
    return Wrapped(nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs)))


class Joined(nn.Module):
    """A network that joins the context itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs + C, 8), nn.Tanh(), nn.Linear(8, outputs))

    def forward(self, x: Tensor, context: Tensor) -> Any:
        return self.net(torch.cat([x, context], 1))


class Passed(nn.Module):
    """A network that passes the context on."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = ResidualNet(inputs, outputs, 8, context_features=C)

    def forward(self, x: Tensor, context: Tensor) -> Any:
        return self.net(x, context)


def conditional(*nets: Any, encoder: nn.Module | None = None) -> Any:
    base = encoder and distributions.ConditionalDiagonalNormal([D], encoder)
    return lively(flow(*(coupling(net=net) for net in nets), base=base))


def assert_same_density(model: Any, log_prob: Callable[[Tensor, Tensor], Tensor]) -> None:
    converted = rnvp_deploy.convert(model.double())
    assert converted.context_dim == C
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(50, converted.dim, generator=generator, dtype=torch.float64)
    c = torch.randn(50, C, generator=generator, dtype=torch.float64)
    x = converted.inverse(z, c)
    assert torch.allclose(converted.log_prob(x, c), log_prob(x, c), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("net", [ignoring, residual(context_features=C)], ids=["ignored", "read"])
@torch.no_grad()
def test_a_conditional_base_of_nflows(encoder: str, net: Any) -> None:
    """The couplings may ignore the context or read it."""
    model = conditional(net, net, encoder=ENCODERS[encoder]())
    assert_same_density(model, lambda x, c: model.log_prob(x, context=c))


@pytest.mark.parametrize("net", [Joined, Passed], ids=lambda net: net.__name__)
@torch.no_grad()
def test_couplings_of_one_flow_may_read_or_ignore_the_context(net: Any) -> None:
    """The density is kept if one coupling reads the context and the others ignore it."""
    model = conditional(ignoring, net, ignoring)
    assert_same_density(model, lambda x, c: model.log_prob(x, context=c))


@torch.no_grad()
def test_a_base_alone_may_read_the_context() -> None:
    """The density is kept if only the base reads the context."""
    layers = (nflows.ActNorm(D), nflows.transforms.LULinear(D))
    base = distributions.ConditionalDiagonalNormal([D], ENCODERS["Dropout first"]())
    model = lively(flow(*layers, base=base))
    assert_same_density(model, lambda x, c: model.log_prob(x, context=c))


@pytest.mark.parametrize("first", [nn.Dropout(0.1), nn.LayerNorm(2 + C), nn.Tanh()], ids=repr)
@torch.no_grad()
def test_a_network_of_zuko_may_begin_with_anything(first: nn.Module) -> None:
    """The density is kept if zuko's networks begin with Dropout, LayerNorm or Tanh."""
    model = zuko.NICE(4, context=C, transforms=2)
    for transform in model.transform.transforms:
        transform.hyper = nn.Sequential(first, nn.Linear(2 + C, 8), nn.Tanh(), nn.Linear(8, 4))
    lively(model)
    assert_same_density(model, lambda x, c: model(c).log_prob(x))
