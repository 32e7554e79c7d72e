"""Samples of a converted flow have the distribution of its data, so its direction is right."""

from typing import Any

import pytest
import torch
from torch import Tensor

import rnvp_deploy
from tests.rnvp_deploy.conversion.zoo import Library

pytestmark = pytest.mark.filterwarnings("ignore")


@torch.no_grad()
def test_samples_land_on_the_data(trained: tuple[Library, Any], data: Tensor) -> None:
    """Samples match the data, and data has a higher log_prob than noise and maps near 0."""
    flow = rnvp_deploy.convert(trained[1])

    samples = flow.sample(10_000, seed=1)
    share = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    far = (samples.quantile(share, 0) - data.quantile(share, 0)).abs().max()
    assert far < 0.35, f"quantiles of samples and data differ by {far:.2f}"

    latent = flow.log_prob(torch.randn(10_000, 2)).nan_to_num(-torch.inf)
    assert flow.log_prob(data).median() > latent.median() + 1
    assert flow(data)[0].median(0).values.abs().max() < 0.5
