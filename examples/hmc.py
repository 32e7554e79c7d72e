"""Hamiltonian Monte Carlo on a bundle, with the runtime alone.

    python hmc.py model.rnvp

The target is the flow's density to a power, p(x)^β: β = 1 is the flow itself, β < 1 is hotter. Such
a target, or p(x) times a likelihood, cannot be drawn by ``flow.sample``; it needs the gradient.

All chains move together: one call of the flow for each leapfrog step. See R. M. Neal, *MCMC using
Hamiltonian dynamics*, in Handbook of Markov Chain Monte Carlo, 2011, section 3.
"""

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import rnvp_runtime

Array = NDArray[np.float64]
LogDensity = Callable[[Array], tuple[Array, Array]]
"""x (chains, d) -> log density (chains,), and its gradient (chains, d)."""


def powered(flow: rnvp_runtime.Flow, beta: float = 1.0) -> LogDensity:
    """β log p(x) of ``flow``, and its gradient."""

    def log_density(x: Array) -> tuple[Array, Array]:
        log_prob, grad = flow.log_prob_and_grad(x)
        return beta * log_prob.astype(np.float64), beta * grad.astype(np.float64)

    return log_density


def hmc(
    log_density: LogDensity,
    x: Array,
    scale: Array,
    *,
    draws: int,
    step: float = 0.25,
    leaps: int = 8,
    seed: int = 0,
) -> tuple[Array, float]:
    """Draw from a density, with one chain for each row of ``x``.

    Args:
        log_density: unnormalised, nats, with its gradient.
        x: (chains, d), where the chains begin.
        scale: (d,), the size of each column: the masses are 1 / scale².
        draws: rows to keep of each chain.
        step: of the leapfrog integrator, in units of ``scale``.
        leaps: leapfrog steps between two draws.
        seed: of the momenta and of the acceptance.

    Returns:
        (draws, chains, d), and the share of accepted proposals.
    """
    random = np.random.default_rng(seed)
    log_p, grad = log_density(x)
    kept, accepted = np.empty((draws, *x.shape)), 0.0
    for draw in range(draws):
        start = random.standard_normal(x.shape)
        size = step * random.uniform(0.8, 1.2)  # else a chain may return to where it was
        new_x, new_log_p, new_grad, momentum = x, log_p, grad, start
        for _ in range(leaps):
            momentum = momentum + 0.5 * size * scale * new_grad
            new_x = new_x + size * scale * momentum
            new_log_p, new_grad = log_density(new_x)
            momentum = momentum + 0.5 * size * scale * new_grad
        gain = new_log_p - log_p - 0.5 * (momentum**2 - start**2).sum(1)
        better = np.log(random.uniform(size=len(x))) < gain
        x = np.where(better[:, None], new_x, x)
        grad = np.where(better[:, None], new_grad, grad)
        log_p = np.where(better, new_log_p, log_p)
        kept[draw], accepted = x, accepted + float(better.mean()) / draws
    return kept, accepted


def main(bundle: str) -> None:
    """Compare the moments of the chains with those of the flow's own samples."""
    flow = rnvp_runtime.load(bundle)
    samples = flow.sample(20_000, seed=1)
    start = flow.sample(100, seed=2).astype(np.float64)
    draws, accepted = hmc(powered(flow), start, samples.std(0), draws=200)
    rows = draws[50:].reshape(-1, flow.dim)
    print(f"{accepted:.0%} accepted")
    for j, column in enumerate(flow.columns):
        print(
            f"{column}: mean {rows[:, j].mean():.4g} (samples {samples[:, j].mean():.4g}), "
            f"deviation {rows[:, j].std():.4g} (samples {samples[:, j].std():.4g})"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
