"""normflows 1.7."""

from typing import Any

import torch
from torch import Tensor, nn

from . import Library, Maker, lively, quietly

with quietly():
    import normflows as nf

D = 4
MASK = torch.tensor([1.0, 0.0, 0.0, 1.0])


def flow(*flows: nn.Module, trainable: bool = False, dim: int = D) -> Any:
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(dim, trainable=trainable), flows)


def mlp(inputs: int = D, outputs: int = D, **options: Any) -> Any:
    return nf.nets.MLP([inputs, 16, outputs], **options)


def masked(mask: Tensor = MASK, t: Any = mlp, s: Any = mlp, **options: Any) -> Any:
    return nf.flows.MaskedAffineFlow(mask, t() if t else None, s() if s else None)


def block(split_mode: str = "channel", dim: int = D, **options: Any) -> Any:
    small, large = dim // 2, dim - dim // 2
    passive, active = (small, large) if split_mode == "channel_inv" else (large, small)
    outputs = active * (2 if options.get("scale", True) else 1)
    return nf.flows.AffineCouplingBlock(
        nf.nets.MLP([passive, 16, outputs]), split_mode=split_mode, **options
    )


def of(*makers: Any, **options: Any) -> Maker:
    def made() -> Any:
        with quietly():
            layers = [make() for make in makers]
        return lively(flow(masked(), *layers, masked(1 - MASK), **options), 0.1)

    return made


SUPPORTED: dict[str, Maker] = {
    "MaskedAffineFlow": of(),
    "MaskedAffineFlow without t, without s": of(
        lambda: masked(t=None), lambda: masked(1 - MASK, s=None)
    ),
    "MLP with leaky, dropout, score_scale, output_fn, output_scale": of(
        lambda: masked(
            s=lambda: mlp(leaky=0.1, output_fn="tanh", output_scale=0.5, score_scale=2.0),
            t=lambda: mlp(dropout=0.2, output_fn="clampexp"),
        )
    ),
    **{
        f"AffineCouplingBlock, scale_map {scale_map}": of(
            lambda scale_map=scale_map: block(scale_map=scale_map)
        )
        for scale_map in ("exp", "sigmoid", "sigmoid_inv")
    },
    "AffineCouplingBlock, scale False": of(lambda: block(scale=False)),
    **{
        f"AffineCouplingBlock, split_mode {mode}": of(lambda mode=mode: block(mode))
        for mode in ("channel_inv", "checkerboard", "checkerboard_inv")
    },
    "AffineCouplingBlock, odd dimensions": lambda: lively(
        flow(block(dim=5), block("channel_inv", dim=5), nf.flows.Permute(5, "swap"), dim=5)
    ),
    "ActNorm, AffineConstFlow": of(
        lambda: nf.flows.ActNorm(D), lambda: nf.flows.AffineConstFlow(D)
    ),
    "Permute, shuffle and swap": of(
        lambda: nf.flows.Permute(D), lambda: nf.flows.Permute(D, "swap")
    ),
    "InvertibleAffine, LU or not": of(
        lambda: nf.flows.InvertibleAffine(D), lambda: nf.flows.InvertibleAffine(D, use_lu=False)
    ),
    "LULinearPermute": of(lambda: nf.flows.LULinearPermute(D)),
    "Composite, Reverse": of(
        lambda: nf.flows.Reverse(masked()),
        lambda: nf.flows.Reverse(nf.flows.LULinearPermute(D)),
    ),
    "DiagGaussian, trained": of(trainable=True),
    "DiagGaussian, not trained": of(),
}


def without_data() -> Any:
    return flow(masked(), nf.flows.ActNorm(D)).eval()


def sharing_its_passive_half() -> Any:
    mask = torch.tensor([1.0, 0.5, 0.0, 1.0])
    return lively(flow(masked(mask)))


REFUSED: dict[str, Maker] = {
    "training mode": lambda: of()().train(),
    "ActNorm that has seen no data": without_data,
    "BatchNorm": of(nf.flows.BatchNorm),
    "Planar, Radial": of(lambda: nf.flows.Planar(D)),
    "spline coupling": of(lambda: nf.flows.CoupledRationalQuadraticSpline(D, 1, 8)),
    "MaskedAffineAutoregressive": of(lambda: nf.flows.MaskedAffineAutoregressive(D, 8)),
    "Residual": of(lambda: nf.flows.Residual(nf.nets.LipschitzMLP([D, 8, D]), reduce_memory=False)),
    "mask with values other than 0 and 1": sharing_its_passive_half,
    "GaussianMixture base": lambda: lively(
        nf.NormalizingFlow(nf.distributions.GaussianMixture(3, D), [masked()])
    ),
}


def noise(model: Any, x: Tensor, c: Tensor | None) -> Tensor:
    return (model.inverse(x) - model.q0.loc) * torch.exp(-model.q0.log_scale)


def data(model: Any, z: Tensor, c: Tensor | None) -> Tensor:
    return model(z * torch.exp(model.q0.log_scale) + model.q0.loc)


LIBRARY = Library(
    name="normflows",
    version="1.7",
    converter="from_normflows",
    log_prob=lambda model, x, c: model.log_prob(x),
    noise=noise,
    data=data,
    supported=SUPPORTED,
    refused=REFUSED,
    trainable=lambda: flow(
        *(
            layer
            for i in range(6)
            for layer in (
                nf.flows.AffineCouplingBlock(nf.nets.MLP([1, 16, 16, 2], init_zeros=True)),
                nf.flows.Permute(2, "swap"),
                nf.flows.ActNorm(2),
            )
        ),
        dim=2,
        trainable=True,
    ),
    loss=lambda model, x: model.forward_kld(x),
)
