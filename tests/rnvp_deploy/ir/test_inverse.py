"""``ir.inverse`` swaps the two directions of any transform; ``select_outputs`` picks outputs."""

import numpy as np
import pytest
import torch

from rnvp_deploy import ir
from rnvp_deploy.ir.networks import output_width, select_outputs
from rnvp_deploy.networks import Activation, Norm

RANDOM = np.random.default_rng(0)


def dense(inputs: int, outputs: int) -> ir.Dense:
    """A dense layer with random weights."""
    return ir.Dense(RANDOM.normal(size=(outputs, inputs)), RANDOM.normal(size=outputs))


TRANSFORMS: list[ir.Transform] = [
    ir.Coupling((0, 2), (1,), {"sig": (dense(2, 1),), "mu": (dense(2, 1),)}),
    ir.DiagonalAffine(RANDOM.normal(size=3), RANDOM.normal(size=3)),
    ir.Permutation((2, 0, 1)),
    ir.Linear(RANDOM.normal(size=(3, 3)), RANDOM.normal(size=3)),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: type(transform).__name__)
@torch.no_grad()
def test_the_inverse_goes_back_and_has_the_opposite_log_det(transform: ir.Transform) -> None:
    """The torch module of an inverse undoes the module of its transform."""
    assert transform.dim == 3
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    forward, back = ir.build_transform(transform), ir.build_transform(ir.inverse(transform))
    z, log_det = forward(x)
    again, log_det_back = back(z)
    assert torch.allclose(again, x, atol=1e-12)
    assert torch.allclose(log_det_back, -log_det, atol=1e-12)
    assert torch.allclose(back.inverse(x), z, atol=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        (dense(2, 4),),
        (dense(2, 4), Activation("tanh")),
        (dense(2, 4), ir.Residual((Activation("tanh"), dense(4, 4)))),
        (dense(2, 4), Norm(4)),
        (dense(2, 4), ir.Rescale(np.ones(4), np.ones(4))),
    ],
)
@torch.no_grad()
def test_outputs_are_selected_in_order(network: ir.Network) -> None:
    """The outputs are selected for any kind of last layer."""
    assert output_width(network, 2) == 4
    h = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    selected = ir.build_network(select_outputs(network, [3, 0], 4))(h)
    assert torch.allclose(selected, ir.build_network(network)(h)[:, [3, 0]], atol=1e-14)


def test_a_network_without_layers_passes_its_inputs_on() -> None:
    """Its output has the width of its input."""
    assert output_width((), 2) == output_width((Activation("relu"),), 2) == 2
