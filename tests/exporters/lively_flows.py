"""Flows of every kind, with weights that are lively rather than initial."""

import torch

from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.scales import (
    Atan,
    Centred,
    Clip,
    Exp,
    LogSigmoid,
    LogSigmoidPlus,
    LogSoftplus,
    Sigmoid,
    SoftClip,
    Tanh,
)
from rnvp_deploy.spec import FlowSpec

SCALES = {
    "exp": Exp(),
    "tanh": Tanh(),
    "wide tanh": Tanh(2.0, 2.0),
    "atan": Atan(2.0),
    "sigmoid": Sigmoid(2.0),
    "softclip": SoftClip(),
    "log sigmoid": LogSigmoid(),
    "log 1/sigmoid": LogSigmoid(-1.0),
    "nflows": LogSigmoidPlus(),
    "softplus": LogSoftplus(),
    "clip": Clip(),
    "centred": Centred(Tanh()),
    "centred softplus": Centred(LogSoftplus()),
}

CONFIGS = {
    "two coordinates": RNVPConfig(dim=2, hidden=(16, 16)),
    "one-wide halves": RNVPConfig(dim=5, split=1, hidden=(16,)),
    "odd": RNVPConfig(dim=7, hidden=(16, 16), couplings=4),
    "separate networks": RNVPConfig(dim=4, joint=False, hidden=(16, 16), couplings=4),
    "permuted": RNVPConfig(dim=6, mixing="permute", hidden=(16, 16), couplings=4),
    "actnorm": RNVPConfig(dim=6, mixing="permute", actnorm=True, hidden=(16, 16), couplings=4),
    "linear": RNVPConfig(dim=4, mixing="lu", actnorm=True, hidden=(16, 16), couplings=4),
    "residual": RNVPConfig(dim=4, residual=True, hidden=(16, 16), couplings=4),
    "given": RNVPConfig(dim=3, context_dim=2, hidden=(16, 16), couplings=4),
    "gated": RNVPConfig(dim=4, context_dim=1, residual=True, hidden=(16, 16), couplings=4),
    "one coordinate, given": RNVPConfig(dim=1, context_dim=2, hidden=(16,), couplings=2),
    "no standardisation": RNVPConfig(dim=2, standardise=False, hidden=(16,), couplings=2),
    "one coupling": RNVPConfig(dim=3, couplings=1, hidden=(16,), mixing="permute"),
    "wide": RNVPConfig(dim=64, hidden=(32, 32), couplings=4),
}


def lively(config: RNVPConfig | FlowSpec, seed: int = 0, spread: float = 0.08) -> RNVP:
    """A float64 flow whose every weight is off its initial value, in units far from 1."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = RNVP(config).double()
        x = 30 + 5 * torch.randn(256, config.dim, dtype=torch.float64)
        flow.initialise(x, some_context(flow, 256))
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(spread * torch.randn_like(parameter))
    return flow.eval().requires_grad_(False)


def some_context(flow: RNVP, rows: int) -> torch.Tensor | None:
    """(rows, c) conditions in units of their own, or None."""
    if not flow.context_dim:
        return None
    draw = torch.Generator().manual_seed(5)
    return 100 + 20 * torch.randn(rows, flow.context_dim, generator=draw, dtype=torch.float64)


def some_data(flow: RNVP, rows: int = 64) -> torch.Tensor:
    """(rows, d) points where the flow puts them."""
    draw = torch.Generator().manual_seed(6)
    z = torch.randn(rows, flow.dim, generator=draw, dtype=torch.float64)
    return flow.inverse(z, some_context(flow, rows))
