"""Errors of the source library become one line with the layer's path and the numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rnvp_deploy
from rnvp_deploy.errors import ConversionError
from tests.rnvp_deploy.conversion.zoo import (
    freia,
    lively,
    nflows,
    normflows,
    quietly,
    tutorial,
    zuko,
)

pytestmark = pytest.mark.filterwarnings("ignore")


def block(inputs: int, outputs: int) -> nn.Module:
    return normflows.nf.flows.AffineCouplingBlock(normflows.nf.nets.MLP([inputs, 8, outputs]))


def normal_flow(dim: int, *layers: nn.Module) -> nn.Module:
    model: nn.Module = normflows.flow(*layers, dim=dim).eval()
    return model


def masked(mask: list[float], width: int | None = None) -> nn.Module:
    width = len(mask) if width is None else width
    nets = [normflows.nf.nets.MLP([width, 8, width]) for _ in range(2)]
    return normflows.nf.flows.MaskedAffineFlow(torch.tensor(mask), *nets)


def nflows_flow(*layers: nn.Module, dim: int = 5) -> nn.Module:
    model: nn.Module = nflows.flow(*layers, dim=dim).eval()
    return model


def nflows_coupling(mask: list[float]) -> nn.Module:
    return nflows.transforms.AffineCouplingTransform(torch.tensor(mask), nflows.residual())


def with_net(make: Callable[[int, int], nn.Module]) -> nn.Module:
    return nflows_flow(nflows.coupling(net=lambda i, o: nflows.Wrapped(make(i, o))))


class Failing(nflows.transforms.AffineCouplingTransform):  # type: ignore[misc, name-defined]
    def forward(self, x: Tensor, context: Tensor | None = None) -> Any:
        raise KeyError("scale\nof three lines\n")


class Incomplete(nflows.transforms.AffineCouplingTransform):  # type: ignore[misc, name-defined]
    def forward(self, x: Tensor, context: Tensor | None = None) -> Any:
        return x


class WithoutDensity(nflows.SimpleRealNVP):  # type: ignore[misc, name-defined]
    def _log_prob(self, inputs: Tensor, context: Tensor | None) -> Tensor:
        raise ZeroDivisionError


class HoldsALock(tutorial.R_NVP):
    def __deepcopy__(self, memo: object) -> None:
        raise TypeError("cannot pickle '_thread.lock' object")


def with_sig_net(net: nn.Module) -> nn.Module:
    model = tutorial.R_NVP(4, 2, 8)
    model.sig_net = net
    return model.eval()


def hooked() -> nn.Module:
    model = nflows_flow(nflows.coupling(), nflows.coupling())
    layer: Any = model._transform._transforms[1]  # type: ignore[union-attr, index]
    layer.register_forward_pre_hook(lambda module, args: (2 * args[0], *args[1:]))
    return model


FAULTS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "normflows, AffineCouplingBlock made for even columns": (
        lambda: normal_flow(3, block(1, 2)),
        r"flows\.0\.flows\.1\.param_map\.net\.0: it takes 1 numbers, and is given 2$",
    ),
    "normflows, AffineCouplingBlock with too many outputs": (
        lambda: normal_flow(3, block(2, 4)),
        r"flows\.0: its network gives 4 numbers; the coupling uses 2$",
    ),
    "normflows, AffineCouplingBlock in one column": (
        lambda: normal_flow(1, block(1, 2)),
        r"flows\.0: it passes on 1 coordinates and moves 0; a coupling needs",
    ),
    "normflows, checkerboard of an odd number of columns": (
        lambda: normal_flow(3, normflows.block("checkerboard", 3)),
        r"flows\.0: a checkerboard split .*the flow has 3$",
    ),
    "normflows, mask of zeros": (
        lambda: normal_flow(3, masked([1, 0, 1]), masked([0, 0, 0])),
        r"flows\.1: it passes on 0 coordinates and moves 3;",
    ),
    "normflows, mask of ones": (
        lambda: normal_flow(3, masked([1, 1, 1])),
        r"flows\.0: it passes on 3 coordinates and moves 0;",
    ),
    "normflows, mask of another length": (
        lambda: normal_flow(3, masked([1, 0, 1, 0])),
        r"flows\.0: its mask has 4 values; the flow has 3 coordinates$",
    ),
    "normflows, networks of another width": (
        lambda: normal_flow(3, masked([1, 0, 1], 4)),
        r"flows\.0\..\.net\.0: it takes 4 numbers, and is given 3$",
    ),
    "normflows, ActNorm of another width": (
        lambda: lively(normal_flow(3, normflows.nf.flows.ActNorm(4))),
        r"flows\.0: it fails on rows of 3 numbers: RuntimeError: .*\(4\)",
    ),
    "nflows, mask of zeros": (
        lambda: nflows_flow(nflows_coupling([0, 0, 0, 0, 0])),
        r"_transform\._transforms\.0: it passes on 5 coordinates and moves 0;",
    ),
    "nflows, mask of ones": (
        lambda: nflows_flow(nflows.coupling(), nflows_coupling([1, 1, 1, 1, 1])),
        r"_transform\._transforms\.1: it passes on 0 coordinates and moves 5;",
    ),
    "nflows, one column": (
        lambda: nflows.SimpleRealNVP(1, 8, 2, 1).eval(),
        r"_transform\._transforms\.0: it passes on 1 coordinates and moves 0;",
    ),
    "nflows, coupling of another width": (
        lambda: nflows_flow(nflows_coupling([1, 0, 1])),
        r"_transform\._transforms\.0: it takes rows of 3 numbers; the flow has 5$",
    ),
    "nflows, permutation of another width": (
        lambda: nflows_flow(nflows.coupling(), nflows.transforms.ReversePermutation(4)),
        r"_transform\._transforms\.1: it fails on rows of 5 numbers: .* 4\.$",
    ),
    "nflows, network of another width": (
        lambda: with_net(lambda i, o: nn.Linear(i + 1, o)),
        r"_transform\._transforms\.0\.transform_net\.net: it takes 4 numbers, and is given 3$",
    ),
    "nflows, network with too many outputs": (
        lambda: with_net(lambda i, o: nn.Linear(i, o + 1)),
        r"_transform\._transforms\.0: its network gives 5 numbers; the coupling uses 4$",
    ),
    "nflows, a transform that raises": (
        lambda: nflows_flow(nflows.coupling(), nflows.coupling(Failing)),
        r"_transform\._transforms\.1: its forward fails on rows of 5 numbers: KeyError: ",
    ),
    "nflows, a transform that returns no log-determinant": (
        lambda: nflows_flow(nflows.coupling(Incomplete)),
        r"_transform\._transforms\.0: its forward fails on rows of 5 numbers: ValueError: too many",
    ),
    "nflows, a log_prob that raises": (
        lambda: WithoutDensity(5, 8, 2, 1).eval(),
        r"the model: its log_prob fails on rows of 5 numbers: ZeroDivisionError$",
    ),
    "zuko, coupling of another width": (
        lambda: zuko.Flow(zuko.NICE(4, transforms=1).transform, zuko.NICE(3).base).eval(),
        r"transform\.transforms\.0: its mask has 4 values; the flow has 3 coordinates$",
    ),
    "FrEIA, one column": (
        lambda: freia.sequence(freia.with_subnet(freia.Fm.GLOWCouplingBlock), dim=1).eval(),
        r"module_list\.0: it passes on 0 coordinates and moves 1;",
    ),
    "FrEIA, no layers": (lambda: freia.sequence(dim=3).eval(), r"the model: it has no transform$"),
    "tutorial, k of 0": (
        lambda: tutorial.R_NVP(2, 0, 8).eval(),
        r"the model: it passes on 0 coordinates and moves 2;",
    ),
    "tutorial, one column": (
        lambda: tutorial.R_NVP(1, 1, 8).eval(),
        r"the model: it passes on 1 coordinates and moves 0;",
    ),
    "a model that cannot be copied": (
        lambda: HoldsALock(4, 2, 8).eval(),
        r"the model: it could not be copied: TypeError: cannot pickle '_thread\.lock' object$",
    ),
    "a model without weights in memory": (
        lambda: tutorial.R_NVP(4, 2, 8).to("meta").eval(),
        r"sig_net\.0\.weight: it is on the meta device and has no values",
    ),
    "a layer without a shape": (
        lambda: with_sig_net(nn.LazyLinear(2)),
        r"sig_net\.weight: it has no shape yet; run the model once",
    ),
    "complex weights": (
        lambda: tutorial.R_NVP(4, 2, 8).to(torch.complex64).eval(),
        r"sig_net\.0\.weight: torch\.complex64 weights are not converted",
    ),
    "a quantised layer": (
        lambda: with_net(torch.ao.nn.quantized.dynamic.Linear),
        r"_transform\._transforms\.0\.transform_net\.net: a quantised Linear; convert",
    ),
    "a scripted network": (
        lambda: with_sig_net(torch.jit.script(nn.Linear(2, 2))),
        r"sig_net: a TorchScript module has no layers to read; give what it was made of$",
    ),
    "a hook that changes a layer": (
        hooked,
        r"_transform\._transforms\.1: the z of its conversion differs by [\d.e+]+, which is more",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_layer_and_the_numbers_are_named_in_one_line(fault: str) -> None:
    """A faulty model is refused in one line that gives the layer's path and the reason."""
    make, pattern = FAULTS[fault]
    with quietly():
        model = make()
    with pytest.raises(ConversionError, match=f"^{pattern}") as refusal:
        rnvp_deploy.convert(model)
    assert "\n" not in str(refusal.value)
