"""Data to train on, and a trained model of each library."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.rnvp_deploy.conversion.zoo import Library, quietly
from tests.rnvp_deploy.conversion.zoo.everything import LIBRARIES


def crescent(rows: int, seed: int) -> Tensor:
    """Data far from 0, bent and skewed, without any symmetry of the normal distribution."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(rows, generator=generator) ** 2
    b = 4 * a * a + 0.2 * torch.randn(rows, generator=generator)
    return torch.stack([1.0 + 2 * a, b - 2.0], 1)


@pytest.fixture(scope="session")
def data() -> Tensor:
    """10,000 rows of the distribution that the models were trained on."""
    return crescent(10_000, 1000)


@pytest.fixture(scope="session", params=LIBRARIES, ids=lambda library: library.name)
def trained(request: pytest.FixtureRequest) -> tuple[Library, Any]:
    """A library, and a model of it, trained on the crescent by that library's own loss."""
    library: Library = request.param
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (FrEIA draws its permutations from it)
    with quietly():
        model = library.trainable()
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for step in range(250):
            optimizer.zero_grad()
            library.loss(model, crescent(256, step)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
    return library, model.eval()
