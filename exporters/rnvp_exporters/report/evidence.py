"""The rows that a report compares: samples of the flow, and held-out rows of the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rnvp_deploy import RNVP
from rnvp_deploy.training import TrainingSummary, read_summary

__all__ = ["Evidence", "HeldOut", "gather"]

Array = NDArray[np.float64]
SAMPLES, SEED = 4000, 7


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows under the flow.

    Attributes:
        x: (k, d).
        context: (k, c), or None.
        pit: Probability integral transform of each latent coordinate, Φ(z): (k, d). Uniform in
            [0, 1] if the flow is the distribution of the rows.
        squares: ‖z‖² (k,), which is then χ² with d degrees of freedom.
        log_prob: (k,), nats.
    """

    x: Array
    context: Array | None
    pit: Array
    squares: Array
    log_prob: Array


@dataclass(frozen=True)
class Evidence:
    """The data of all figures of a report.

    Attributes:
        summary: What the checkpoint recorded of the training; None for a converted flow.
        held_out: None if the checkpoint keeps no rows.
        samples: (n, d) of the flow; rows that are not finite are left out.
        given: At which conditions they were drawn, such as ``, given …``; empty if there are none.
    """

    summary: TrainingSummary | None
    held_out: HeldOut | None
    samples: Array
    given: str


@torch.no_grad()
def gather(flow: RNVP, training: Mapping[str, Any]) -> Evidence:
    """Draw samples, and map the held-out rows to the latent space.

    Args:
        flow: In eval mode.
        training: The record in its checkpoint; empty for a flow in memory.
    """
    summary = read_summary(training)
    held_out = None
    if summary is not None and len(summary.sample):
        held_out = _held_out(flow, summary.sample, summary.sample_context)
    context, given = _context(flow, held_out)
    x = flow.sample(SAMPLES, seed=SEED, context=context).double().numpy()
    return Evidence(summary, held_out, x[np.isfinite(x).all(axis=1)], given)


def _held_out(flow: RNVP, x: torch.Tensor, context: torch.Tensor | None) -> HeldOut | None:
    x, context = x.to(flow.dtype), None if context is None else context.to(flow.dtype)
    dequantised = x
    if flow.elementwise is not None and flow.elementwise.spec.rounds:
        dequantised = x + flow.elementwise.noise(len(x), torch.Generator().manual_seed(SEED))
    z, log_base, log_det = (value.double() for value in flow(dequantised, context))
    usable = torch.isfinite(z).all(-1) & torch.isfinite(log_det)
    if not usable.any():
        return None
    z = z[usable]
    return HeldOut(
        x.double()[usable].numpy(),
        None if context is None else context.double()[usable].numpy(),
        torch.special.ndtr(z).numpy(),
        (z * z).sum(-1).numpy(),
        (log_base + log_det)[usable].numpy(),
    )


def _context(flow: RNVP, held_out: HeldOut | None) -> tuple[torch.Tensor | None, str]:
    """The context of each sample: those of the held-out rows in turn, else the mean."""
    if not flow.context_dim:
        return None, ""
    if held_out is not None and held_out.context is not None:
        rows = np.resize(held_out.context, (SAMPLES, flow.context_dim))
        return torch.from_numpy(rows).to(flow.dtype), ", given the conditions of the held-out rows"
    context = torch.zeros(1, flow.context_dim, dtype=flow.dtype)
    if flow.context_scaling is not None:
        context = flow.context_scaling.inverse(context)
    return context.expand(SAMPLES, -1), ", given the mean of each condition"
