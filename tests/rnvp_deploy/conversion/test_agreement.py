"""A converted flow gives the same z, log_prob and inverse as its library."""

from typing import Any

import pytest
import torch
from torch import Tensor

import rnvp_deploy
from tests.rnvp_deploy.conversion.zoo import Library, quietly
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES

pytestmark = pytest.mark.filterwarnings("ignore")

SUPPORTED = [
    pytest.param(library, name, id=f"{library.name}: {name}")
    for library in LIBRARIES
    for name in library.supported
]
TOLERANCE = 1e-10  # relative to a row's largest number


def error(found: Tensor, expected: Tensor) -> float:
    expected = expected.reshape(len(expected), -1)
    size = 1 + expected.abs().amax(1, keepdim=True)
    return float(((found.reshape(expected.shape) - expected).abs() / size).max())


def made(library: Library, name: str) -> Any:
    torch.manual_seed(0)
    with quietly():
        return library.supported[name]()


@pytest.mark.parametrize(("library", "name"), SUPPORTED)
@torch.no_grad()
def test_agrees_with_its_library_in_float64(library: Library, name: str) -> None:
    """z, log_prob and inverse agree on rows that the proof has not used."""
    model = made(library, name).double().train().eval()  # drops cached values
    flow = getattr(rnvp_deploy, library.converter)(model)

    z = torch.randn(500, flow.dim, dtype=torch.float64)
    c = torch.randn(500, flow.context_dim, dtype=torch.float64) if flow.context_dim else None
    x = library.data(model, z, c)

    assert error(flow.inverse(z, c), x) < TOLERANCE
    assert error(flow(x, c)[0], library.noise(model, x, c)) < TOLERANCE
    assert error(flow.log_prob(x, c), library.log_prob(model, x, c)) < TOLERANCE


@pytest.mark.parametrize(("library", "name"), SUPPORTED)
@torch.no_grad()
def test_keeps_the_model_and_its_dtype(library: Library, name: str) -> None:
    """The conversion leaves the model, the random state and the dtype as they are."""
    model = made(library, name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()

    flow = getattr(rnvp_deploy, library.converter)(model)

    assert torch.equal(torch.get_rng_state(), state)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert flow.dtype == next(p.dtype for p in model.parameters() if p.is_floating_point())
    assert not flow.training
    z = torch.randn(200, flow.dim, dtype=flow.dtype)
    c = torch.randn(200, flow.context_dim, dtype=flow.dtype) if flow.context_dim else None
    x = library.data(model, z, c)
    assert error(flow.log_prob(x, c), library.log_prob(model, x, c)) < 1e-3
