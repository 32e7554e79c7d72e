"""The score of a Gaussian with a full covariance: a flow should have a better score."""

import math

import torch
from torch import Tensor

from rnvp_deploy.training.rows import Rows

__all__ = ["gaussian_log_prob"]

_SINGULAR = 1e-12  # smallest / largest eigenvalue of the correlation matrix


def gaussian_log_prob(train: Rows, scored: Rows) -> Tensor | None:
    """Fit a Gaussian to ``train`` by maximum likelihood and score other rows.

    With a context it is the linear-Gaussian conditional density: the mean of x is a linear
    function of the context, and the covariance of the residuals does not depend on it.

    Args:
        train: The rows that the Gaussian is fitted to.
        scored: The rows to score.

    Returns:
        log p(x | context) of ``scored``: (n,) float64, nats. None if the covariance is singular.
    """
    x = train.x.detach().cpu().double()
    loc, scale = x.mean(0), x.std(0, correction=0)
    weights = torch.linalg.lstsq(_design(train, train), (x - loc) / scale).solution
    residual = (x - loc) / scale - _design(train, train) @ weights
    eigenvalues, axes = torch.linalg.eigh(residual.T @ residual / len(x))
    if not eigenvalues[0] > _SINGULAR * eigenvalues[-1]:
        return None
    other = (scored.x.detach().cpu().double() - loc) / scale - _design(scored, train) @ weights
    squares = ((other @ axes) ** 2 / eigenvalues).sum(-1)
    log_det = eigenvalues.log().sum() + 2 * scale.log().sum()
    log_prob: Tensor = -0.5 * (squares + log_det + x.shape[1] * math.log(2 * math.pi))
    return log_prob


def _design(rows: Rows, train: Rows) -> Tensor:
    """A column of ones, and the conditions that vary in ``train``, standardised as there."""
    ones = torch.ones(len(rows), 1, dtype=torch.float64)
    if rows.context is None or train.context is None:
        return ones
    seen = train.context.detach().cpu().double()
    context = rows.context.detach().cpu().double()
    varies = (seen != seen[0]).any(0)  # a constant says the same as the column of ones
    if not varies.any():
        return ones
    context, seen = context[:, varies], seen[:, varies]
    return torch.cat([ones, (context - seen.mean(0)) / seen.std(0, correction=0)], -1)
