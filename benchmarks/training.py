"""How well the default flow trains, measured: a Markdown table on standard output.

    python benchmarks/training.py                 # all, about five minutes on one core
    python benchmarks/training.py --seeds 1       # quicker

Two moons: 20,000 rows of scikit-learn's ``make_moons(noise=0.05)``, standardised, scored on
200,000 fresh ones. Diamonds: the seven numeric columns of plotnine's table, in their own units,
scored on a fifth of the rows that nothing was trained on. All figures are nats a row, mean of
−log p; lower is better, and the entropy of the data is the least there is.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from plotnine.data import diamonds
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

from rnvp_deploy import RNVP, RNVPConfig, TrainingOptions, fit
from rnvp_deploy.scales import Exp

Array = NDArray[np.float64]

NOISE = 0.05
ROWS, FRESH = 20_000, 200_000
DIAMONDS = ["carat", "depth", "table", "price", "x", "y", "z"]


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    data: str
    model: str
    nats: float
    parameters: int | None = None
    seconds: float | None = None
    first: float | None = None  # mean training loss of the first epoch,
    highest: float | None = None  # and the highest of those after it


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each flow (default 3)")
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    print("| data | model | nats a row | parameters | seconds | first epoch | highest after |")
    print("|---|---|---|---|---|---|---|")
    for result in chain(moons(seeds), diamond_prices(seeds)):
        print(_line(result), flush=True)


def moons(seeds: range) -> Iterator[Result]:
    """Two moons: the entropy, rnvp-deploy's default flow, and the flow that it derives from."""
    yield Result("moons", "*entropy*", moons_entropy())
    fresh = two_moons(FRESH, seed=10_000)
    for seed in seeds:
        flow = new_flow(RNVPConfig(dim=2), seed)
        yield trained("moons", seed, flow, two_moons(ROWS, seed), fresh)
    for seed in seeds:
        source = RNVPConfig(dim=2, couplings=5, joint=False, scale=Exp(), standardise=False)
        yield plain_adam(seed, new_flow(source, seed), two_moons(ROWS, seed), fresh)


def diamond_prices(seeds: range) -> Iterator[Result]:
    """Diamonds: a Gaussian, a mixture of twenty, rnvp-deploy's default flow."""
    x = diamonds[DIAMONDS].to_numpy(float)
    order = np.random.default_rng(0).permutation(len(x))
    test, train = x[order[: len(x) // 5]], x[order[len(x) // 5 :]]
    for k, name in ((1, "Gaussian, full covariance"), (20, "20 Gaussians, full covariance")):
        began = time.perf_counter()
        nats = mixture_nats(k, train, test)
        yield Result("diamonds", name, nats, seconds=time.perf_counter() - began)
    for seed in seeds:
        yield trained("diamonds", seed, new_flow(RNVPConfig(dim=7), seed), train, test)


def two_moons(rows: int, seed: int) -> Array:
    """(rows, 2), standardised by the distribution's own mean and deviation."""
    x, _ = make_moons(rows, noise=NOISE, random_state=seed)
    return np.asarray((x - _MEAN) / _DEVIATION)


def moons_entropy() -> float:
    """The differential entropy of the standardised two moons, by quadrature over a fine grid."""
    arcs, _ = make_moons(2000, noise=None)
    step = 0.01
    axes = [np.arange(low - 0.4, high + 0.4, step) for low, high in ((-1, 2), (-0.5, 1))]
    kernels = [
        np.exp(-((axis[:, None] - centre) ** 2) / (2 * NOISE**2))
        for axis, centre in zip(axes, arcs.T, strict=True)
    ]
    density = kernels[0] @ kernels[1].T / (len(arcs) * 2 * math.pi * NOISE**2)
    entropy = -float(np.sum(density * np.log(density + 1e-300))) * step**2
    return entropy - float(np.log(_DEVIATION).sum())


def new_flow(config: RNVPConfig, seed: int) -> RNVP:
    """A flow whose first weights are drawn from ``seed``."""
    torch.manual_seed(seed)
    return RNVP(config)


def trained(data: str, seed: int, flow: RNVP, train: Array, test: Array) -> Result:
    """The default training."""
    training = fit(flow, train, options=TrainingOptions(seed=seed))
    losses = [epoch.train for epoch in training.epochs]
    return Result(
        data, f"**default**, seed {seed}", score(flow, test), size(flow), training.seconds,
        losses[0], max(losses[1:]),
    )  # fmt: skip


def plain_adam(seed: int, flow: RNVP, train: Array, test: Array, batch: int = 512) -> Result:
    """A training with as many batches as the default one, and Adam with its defaults only."""
    began = time.perf_counter()
    x = torch.tensor(train, dtype=flow.dtype)
    optimizer = torch.optim.Adam(flow.parameters())
    losses: list[float] = []
    while len(losses) * (len(x) // batch) < 8000:
        batches = [x[index] for index in torch.randperm(len(x)).split(batch)][: len(x) // batch]
        total = 0.0
        for rows in batches:
            loss = -flow.log_prob(rows).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(batches))
    return Result(
        "moons", f"5 couplings, unbounded exp, plain Adam, seed {seed}", score(flow, test),
        size(flow), time.perf_counter() - began, losses[0], max(losses[1:]),
    )  # fmt: skip


def mixture_nats(k: int, train: Array, test: Array) -> float:
    """The score of k Gaussians, fitted to the standardised rows, in the units of the rows."""
    mean, deviation = train.mean(0), train.std(0)
    mixture = GaussianMixture(k, random_state=0).fit((train - mean) / deviation)
    return float(np.log(deviation).sum()) - float(mixture.score((test - mean) / deviation))


@torch.no_grad()
def score(flow: RNVP, x: Array) -> float:
    """Mean −log p of the rows."""
    parts = torch.tensor(x, dtype=flow.dtype).split(10_000)
    return -float(torch.cat([flow.log_prob(part) for part in parts]).double().mean())


def size(flow: RNVP) -> int:
    """The number of trained parameters."""
    return sum(parameter.numel() for parameter in flow.parameters())


def _line(result: Result) -> str:
    number = "{:.3f}".format
    cells = (
        result.data,
        result.model,
        number(result.nats),
        "" if result.parameters is None else f"{result.parameters:,}",
        "" if result.seconds is None else f"{result.seconds:.0f}",
        "" if result.first is None else number(result.first),
        "" if result.highest is None else number(result.highest),
    )
    return f"| {' | '.join(cells)} |"


_ARCS, _ = make_moons(100_000, noise=None)
_MEAN = _ARCS.mean(0)
_DEVIATION = np.sqrt(_ARCS.var(0) + NOISE**2)

if __name__ == "__main__":
    main()
