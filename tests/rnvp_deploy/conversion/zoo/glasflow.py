"""glasflow 0.4."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import Library, Maker, lively, quietly

with quietly():
    import glasflow
    from glasflow.distributions import MultivariateUniform
    from glasflow.flows import CouplingNSF, MaskedAffineAutoregressiveFlow

D = 4


def real_nvp(**options: Any) -> Maker:
    return lambda: lively(glasflow.RealNVP(D, 3, n_neurons=16, **options))


SUPPORTED: dict[str, Maker] = {
    "RealNVP": real_nvp(),
    "RealNVP, scale_activation nflows": real_nvp(scale_activation="nflows"),
    "RealNVP, scale_activation nflows_general, wide": real_nvp(scale_activation="wide"),
    "RealNVP, scale_activation log1": real_nvp(scale_activation="log1"),
    "RealNVP, scale_activation log2.5": real_nvp(scale_activation="log2.5"),
    "RealNVP, volume_preserving": real_nvp(volume_preserving=True),
    "RealNVP, n_conditional_inputs": real_nvp(n_conditional_inputs=2),
    "RealNVP, linear_transform lu": real_nvp(linear_transform="lu"),
    "RealNVP, linear_transform svd": real_nvp(linear_transform="svd"),
    "RealNVP, linear_transform permutation": real_nvp(linear_transform="permutation"),
    "RealNVP, batch norm within and between, dropout, silu": real_nvp(
        batch_norm_within_blocks=True,
        batch_norm_between_transforms=True,
        dropout_probability=0.1,
        activation=F.silu,
    ),
    "RealNVP, mask": real_nvp(mask=torch.tensor([1, 1, 1, -1])),
}

REFUSED: dict[str, Maker] = {
    "training mode": lambda: real_nvp()().train(),
    "CouplingNSF (spline)": lambda: lively(CouplingNSF(D, 2)),
    "MaskedAffineAutoregressiveFlow": lambda: lively(MaskedAffineAutoregressiveFlow(D, 2)),
    "MultivariateUniform base": real_nvp(
        distribution=MultivariateUniform(torch.zeros(D), torch.ones(D))
    ),
    "unsupported scale activation": real_nvp(scale_activation=lambda u: 2 + torch.sin(u)),
}


def data(model: Any, z: Tensor, c: Tensor | None) -> Tensor:
    return model.inverse(z, conditional=c)[0]


LIBRARY = Library(
    name="glasflow",
    version="0.4",
    converter="from_glasflow",
    log_prob=lambda model, x, c: model.log_prob(x, conditional=c),
    noise=lambda model, x, c: model(x, conditional=c)[0],
    data=data,
    supported=SUPPORTED,
    refused=REFUSED,
    trainable=lambda: glasflow.RealNVP(
        2, 6, n_neurons=16, batch_norm_between_transforms=True, scale_activation="log1"
    ),
    loss=lambda model, x: -model.log_prob(x).mean(),
)
