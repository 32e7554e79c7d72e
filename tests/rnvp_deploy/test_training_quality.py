"""The quality of the default flow on known distributions and on a real table."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from plotnine.data import diamonds
from scipy.stats import multivariate_normal
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

from rnvp_deploy import RNVP, RNVPConfig, fit
from rnvp_deploy.training import Training

Array = NDArray[np.float64]

pytestmark = pytest.mark.slow


def trained(x: Array) -> tuple[RNVP, Training]:
    """The default flow after the default training."""
    torch.manual_seed(0)
    flow = RNVP(RNVPConfig(dim=x.shape[1]))
    return flow, fit(flow, x)


@torch.no_grad()
def nats(flow: RNVP, x: Array) -> float:
    """Mean −log p of the rows."""
    return -float(flow.log_prob(torch.tensor(x, dtype=flow.dtype)).double().mean())


def moons(rows: int, seed: int) -> Array:
    """Two moons, standardised by the mean and deviation of the distribution."""
    arcs, _ = make_moons(100_000, noise=None)
    x, _ = make_moons(rows, noise=0.05, random_state=seed)
    return np.asarray((x - arcs.mean(0)) / np.sqrt(arcs.var(0) + 0.05**2))


def test_two_moons_come_within_two_hundredths_of_their_entropy() -> None:
    """Fresh rows have at most 1.15 nats (the entropy is 1.132). No later loss exceeds the first."""
    flow, training = trained(moons(20_000, seed=0))
    assert nats(flow, moons(100_000, seed=1)) <= 1.15
    first, *later = (epoch.train for epoch in training.epochs)
    assert max(later) < first


def test_two_thousand_rows_are_enough() -> None:
    """A small table is not overfitted: the loss of fresh rows stays low."""
    flow, training = trained(moons(2000, seed=0))
    assert nats(flow, moons(100_000, seed=1)) < 1.25
    assert training.best.held_out < 1.35


def test_a_gaussian_is_learnt_to_its_entropy() -> None:
    """A flow trained on Gaussian rows scores as well as that Gaussian, within 0.03 nats."""
    covariance = np.array([[2.0, 1.2], [1.2, 1.0]])
    truth = multivariate_normal([5.0, -3.0], covariance)
    flow, _ = trained(truth.rvs(5000, random_state=0))
    entropy = 0.5 * math.log((2 * math.pi * math.e) ** 2 * float(np.linalg.det(covariance)))
    assert nats(flow, truth.rvs(50_000, random_state=1)) < entropy + 0.03


def test_diamonds_beat_a_gaussian_and_a_mixture_of_twenty() -> None:
    """All models are scored on rows that none of them was trained on, in the table's units."""
    x = diamonds[["carat", "depth", "table", "price", "x", "y", "z"]].to_numpy(float)
    order = np.random.default_rng(0).permutation(len(x))
    test, train = x[order[:10_788]], x[order[10_788:]]
    mean, deviation = train.mean(0), train.std(0)
    flow, _ = trained(train)
    of_flow = nats(flow, test)
    for components in (1, 20):
        mixture = GaussianMixture(components, random_state=0).fit((train - mean) / deviation)
        of_mixture = float(np.log(deviation).sum()) - mixture.score((test - mean) / deviation)
        assert of_flow < of_mixture - 0.1
