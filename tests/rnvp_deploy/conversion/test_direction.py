"""Trained on data that cannot be taken for the latent: samples land on the data."""

import pytest
import torch
from torch import Tensor
from zoo import Library, quietly
from zoo.everything import LIBRARIES

import rnvp_deploy

pytestmark = pytest.mark.filterwarnings("ignore")


def crescent(rows: int, seed: int) -> Tensor:
    """Far from 0, bent, and skew: no symmetry of the normal has it."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(rows, generator=generator) ** 2
    b = 4 * a * a + 0.2 * torch.randn(rows, generator=generator)
    return torch.stack([1.0 + 2 * a, b - 2.0], 1)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_samples_land_on_the_data(library: Library) -> None:
    torch.manual_seed(0)
    with quietly():
        model = library.trainable()
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for step in range(250):
            optimizer.zero_grad()
            loss = library.loss(model, crescent(256, step))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
    flow = rnvp_deploy.convert(model.eval())

    data, samples = crescent(4000, 1000), flow.sample(4000, seed=1)
    share = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    far = (samples.quantile(share, 0) - data.quantile(share, 0)).abs().max()
    assert far < 0.35, f"quantiles of samples and data differ by {far:.2f}"
    with torch.no_grad():
        z, _, _ = flow(data)
        latent = flow.log_prob(torch.randn(4000, 2)).nan_to_num(-torch.inf)
        assert flow.log_prob(data).median() > latent.median() + 1
    assert z.median(0).values.abs().max() < 0.5
