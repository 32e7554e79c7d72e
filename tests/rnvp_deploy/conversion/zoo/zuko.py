"""zuko 1.x."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from . import Library, Maker, lively, quietly

with quietly():
    import zuko
    from zuko import transforms as T
    from zuko.distributions import BoxUniform, DiagNormal
    from zuko.flows import NICE, RealNVP
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.flows.gaussianization import ElementWiseTransform
    from zuko.lazy import Flow, Unconditional, UnconditionalDistribution, UnconditionalTransform

D = 5


def nice(**options: Any) -> Maker:
    return lambda: lively(NICE(D, transforms=3, hidden_features=(16, 16), **options))


def base(trained: bool = False) -> Any:
    loc = torch.tensor([0.3, -2.0, 0.1, 5.0, 1.0]) if trained else torch.zeros(D)
    scale = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.7]) if trained else torch.ones(D)
    return UnconditionalDistribution(DiagNormal, loc, scale, buffer=True)


def coupling(**options: Any) -> Any:
    return GeneralCouplingTransform(D, hidden_features=(16,), **options)


def fixed(transform: Any, *tensors: Tensor, buffer: bool = True) -> Any:
    return UnconditionalTransform(transform, *tensors, buffer=buffer)


def of(*makers: Any, base: Any = base) -> Maker:
    return lambda: lively(Flow([coupling(), *(make() for make in makers), coupling()], base()))


def lu() -> Any:
    torch.manual_seed(3)
    return fixed(T.LULinearTransform, torch.randn(D, D) + 2 * torch.eye(D), buffer=False)


SUPPORTED: dict[str, Maker] = {
    "NICE, RealNVP": lambda: lively(RealNVP(D, transforms=3, hidden_features=(16, 16))),
    "NICE, context": nice(context=2),
    "NICE, randmask": nice(randmask=True),
    "NICE, normalize (LayerNorm), ELU": nice(normalize=True, activation=nn.ELU),
    "NICE, additive univariate": nice(univariate=T.AdditiveTransform, shapes=[()]),
    "RealNVP in 1 dimension, with context": lambda: lively(RealNVP(1, context=2)),
    "slope 1e-4, the default of 1.0.1 to 1.4.1": of(
        lambda: coupling(univariate=partial(T.MonotonicAffineTransform, slope=1e-4))
    ),
    "any slope": of(lambda: coupling(univariate=partial(T.MonotonicAffineTransform, slope=0.03))),
    "ElementWiseTransform": of(lambda: ElementWiseTransform(D)),
    "ElementWiseTransform, context": lambda: lively(
        Flow([coupling(context=2), ElementWiseTransform(D, context=2)], base())
    ),
    "AffineTransform": of(lambda: fixed(T.AffineTransform, torch.randn(D), torch.rand(D) + 0.5)),
    "PermutationTransform": of(
        lambda: fixed(T.PermutationTransform, torch.tensor([2, 0, 4, 1, 3]))
    ),
    "RotationTransform": of(lambda: fixed(T.RotationTransform, torch.randn(D, D), buffer=False)),
    "LULinearTransform": of(lu),
    "inverse of a transform": of(lambda: coupling().inv, lambda: lu().inv),
    "DiagNormal in an Unconditional, as up to 1.5.0": of(
        base=lambda: Unconditional(DiagNormal, torch.full((D,), 0.5), torch.ones(D), buffer=True)
    ),
    "DiagNormal, trained": of(base=partial(base, trained=True)),
}

REFUSED: dict[str, Maker] = {
    "training mode": lambda: nice()().train(),
    "NSF (spline)": lambda: lively(zuko.flows.NSF(D, hidden_features=(8,))),
    "MAF (autoregressive)": lambda: lively(zuko.flows.MAF(D, hidden_features=(8,))),
    "coupling with a spline": lambda: lively(
        Flow(
            [coupling(univariate=T.MonotonicRQSTransform, shapes=[(8,), (8,), (7,)])],
            base(),
        )
    ),
    "SoftclipTransform": of(lambda: fixed(T.SoftclipTransform)),
    "CNF (continuous)": lambda: lively(zuko.flows.CNF(D, hidden_features=(8,))),
    "BoxUniform base": of(
        base=lambda: UnconditionalDistribution(
            BoxUniform, torch.zeros(D), torch.ones(D), buffer=True
        )
    ),
}


def standardiser(model: Any) -> tuple[Tensor, Tensor]:
    distribution = model.base().base_dist
    return distribution.loc, distribution.scale


def noise(model: Any, x: Tensor, c: Tensor | None) -> Tensor:
    loc, scale = standardiser(model)
    return (model(c).transform(x) - loc) / scale


def data(model: Any, z: Tensor, c: Tensor | None) -> Tensor:
    loc, scale = standardiser(model)
    return model(c).transform.inv(z * scale + loc)


LIBRARY = Library(
    name="zuko",
    version="1.x",
    converter="from_zuko",
    log_prob=lambda model, x, c: model(c).log_prob(x),
    noise=noise,
    data=data,
    supported=SUPPORTED,
    refused=REFUSED,
    trainable=lambda: NICE(2, transforms=6, hidden_features=(16, 16)),
    loss=lambda model, x: -model().log_prob(x).mean(),
)
