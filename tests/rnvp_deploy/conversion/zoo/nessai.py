"""nessai 0.15."""

from typing import Any

import torch
from torch import Tensor

from . import Library, Maker, lively, quietly

with quietly():
    from glasflow.nflows.transforms.coupling import AffineCouplingTransform
    from nessai.flows import MaskedAutoregressiveFlow, NeuralSplineFlow, RealNVP
    from nessai.flows.distributions import MultivariateNormal, ResampledGaussian
    from nessai.flows.nets import MLP
    from nessai.flows.utils import configure_model

D = 4


def real_nvp(**options: Any) -> Maker:
    return lambda: lively(RealNVP(D, 16, 3, 2, **options))


def used(make: Maker) -> Maker:
    """The model after a call, when its linear layers have cached their matrices."""

    def made() -> Any:
        model = make()
        model.log_prob(torch.zeros(2, D))
        return model

    return made


SUPPORTED: dict[str, Maker] = {
    "RealNVP (lu, batch norm between layers)": used(real_nvp()),
    "RealNVP, net mlp": real_nvp(net="mlp"),
    "RealNVP, actnorm": real_nvp(actnorm=True, batch_norm_between_layers=False),
    "RealNVP, linear_transform permutation": real_nvp(linear_transform="permutation"),
    "RealNVP, linear_transform svd": real_nvp(linear_transform="svd"),
    "RealNVP, linear_transform None, mask": real_nvp(
        linear_transform=None, mask=[[1, 1, -1, -1], [-1, 1, -1, 1], [-1, -1, 1, 1]]
    ),
    "RealNVP, use_volume_preserving": real_nvp(use_volume_preserving=True),
    "RealNVP, context_features": real_nvp(context_features=3),
    "RealNVP, batch norm within layers, dropout": real_nvp(
        batch_norm_within_layers=True, dropout_probability=0.1
    ),
    "RealNVP, pre_transform batch_norm": real_nvp(pre_transform="batch_norm"),
    "RealNVP, scale_activation": real_nvp(
        scale_activation=AffineCouplingTransform.GENERAL_SCALE_ACTIVATION
    ),
    "configure_model, MultivariateNormal base of any variance": lambda: lively(
        configure_model(
            {
                "n_inputs": D,
                "n_neurons": 16,
                "n_blocks": 2,
                "n_layers": 2,
                "ftype": "realnvp",
                "activation": "swish",
                "distribution": "mvn",
                "distribution_kwargs": {"var": 2.5},
            }
        )
    ),
}

REFUSED: dict[str, Maker] = {
    "training mode": lambda: real_nvp()().train(),
    "ActNorm that has seen no data": lambda: RealNVP(
        D, 16, 2, 2, actnorm=True, batch_norm_between_layers=False
    ).eval(),
    "pre_transform logit": real_nvp(pre_transform="logit"),
    "NeuralSplineFlow": lambda: lively(NeuralSplineFlow(D, 16, 2, 2)),
    "MaskedAutoregressiveFlow": lambda: lively(MaskedAutoregressiveFlow(D, 16, 2, 2)),
    "ResampledGaussian base (LARS)": real_nvp(
        distribution=ResampledGaussian([D], MLP([D], [1], [8], activate_output=torch.sigmoid))
    ),
}


def std(model: Any) -> float:
    base = model._distribution
    return base._std if isinstance(base, MultivariateNormal) else 1.0


def data(model: Any, z: Tensor, c: Tensor | None) -> Tensor:
    return model.inverse(z * std(model), context=c)[0]


LIBRARY = Library(
    name="nessai",
    version="0.15",
    converter="from_nessai",
    log_prob=lambda model, x, c: model.log_prob(x, context=c),
    noise=lambda model, x, c: model(x, context=c)[0] / std(model),
    data=data,
    supported=SUPPORTED,
    refused=REFUSED,
    trainable=lambda: RealNVP(2, 16, 6, 2, batch_norm_between_layers=False),
    loss=lambda model, x: -model.log_prob(x).mean(),
)
