"""nflows 0.14."""

from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import Library, Maker, lively, quietly

with quietly():
    from nflows import distributions, flows, transforms
    from nflows.flows.realnvp import SimpleRealNVP
    from nflows.nn.nets import MLP, ResidualNet
    from nflows.transforms.base import InverseTransform
    from nflows.transforms.normalization import ActNorm, BatchNorm

D = 5


def flow(*layers: nn.Module, base: nn.Module | None = None, dim: int = D) -> Any:
    return flows.Flow(
        transforms.CompositeTransform(layers), base or distributions.StandardNormal([dim])
    )


def coupling(
    kind: Any = transforms.AffineCouplingTransform, net: Any = None, **options: Any
) -> Any:
    mask = torch.tensor([1, -1, 1, -1, -1])
    return kind(mask, net or residual(), **options)


def residual(**options: Any) -> Any:
    return lambda inputs, outputs: ResidualNet(inputs, outputs, 16, num_blocks=1, **options)


class Wrapped(nn.Module):
    """A wrapper as users write it, since the MLP of nflows takes no context."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.net(x)


class Unlike(Wrapped):
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.cumsum(self.net(x), 1)


def wrapped(make: Any) -> Any:
    return lambda inputs, outputs: Wrapped(make(inputs, outputs))


def sequential(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, 16), nn.SiLU(), nn.LayerNorm(16), nn.Dropout(0.1), nn.BatchNorm1d(16),
        nn.Linear(16, 16, bias=False), nn.Softplus(beta=2.0), nn.PReLU(), nn.Linear(16, outputs),
    )  # fmt: skip


class UnsupportedScale(transforms.AffineCouplingTransform):
    def _scale_and_shift(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        k = self.num_transform_features
        return torch.exp(torch.sin(parameters[:, k:])), parameters[:, :k]


def general(kind: Any = transforms.AffineCouplingTransform) -> Any:
    """A coupling as after nflows 0.14, where the scale is an argument."""

    class General(kind):  # type: ignore[misc, valid-type]
        def _scale_and_shift(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
            k = self.num_transform_features
            return (F.softplus(parameters[:, k:]) + 1e-3).clamp(0, 3), parameters[:, :k]

    return General


def diagonal_base() -> Any:
    return lively(distributions.DiagonalNormal([D]))


def simple(**options: Any) -> Maker:
    return lambda: lively(SimpleRealNVP(D, 16, 3, 1, **options))


def of(*makers: Any, amount: float = 0.15, **options: Any) -> Maker:
    """A flow of couplings with the layers that ``makers`` make in between."""
    return lambda: lively(
        flow(coupling(), *(make() for make in makers), coupling(), **options), amount
    )


def without_data() -> Any:
    model = of(lambda: ActNorm(D))()
    model._transform._transforms[1].initialized.fill_(False)
    return model


SUPPORTED: dict[str, Maker] = {
    "SimpleRealNVP": simple(),
    "SimpleRealNVP, batch norm within and between layers": simple(
        batch_norm_within_layers=True, batch_norm_between_layers=True
    ),
    "SimpleRealNVP, volume preserving (AdditiveCouplingTransform)": simple(
        use_volume_preserving=True
    ),
    "SimpleRealNVP, tanh, dropout": simple(activation=torch.tanh, dropout_probability=0.2),
    "AffineCouplingTransform, softplus scale": lambda: lively(
        flow(coupling(general()), coupling(general()))
    ),
    "ResidualNet with context": lambda: lively(
        flow(*(coupling(net=residual(context_features=2)) for _ in range(2)))
    ),
    "MLP, in a module that takes a context": lambda: lively(
        flow(coupling(net=wrapped(lambda i, o: MLP([i], [o], [16, 16], F.elu))))
    ),
    "Sequential with LayerNorm, BatchNorm1d, Dropout, PReLU": lambda: lively(
        flow(coupling(net=wrapped(sequential)))
    ),
    "ActNorm": of(lambda: ActNorm(D)),
    "BatchNorm": of(lambda: BatchNorm(D)),
    "Permutation, RandomPermutation, ReversePermutation": of(
        lambda: transforms.Permutation(torch.tensor([3, 0, 4, 1, 2])),
        lambda: transforms.RandomPermutation(D),
        lambda: transforms.ReversePermutation(D),
    ),
    "LULinear": of(lambda: transforms.LULinear(D, identity_init=False)),
    "NaiveLinear": of(lambda: transforms.NaiveLinear(D)),
    "QRLinear, SVDLinear": of(
        lambda: transforms.QRLinear(D, 3), lambda: transforms.SVDLinear(D, 4)
    ),
    "PointwiseAffineTransform": of(
        lambda: transforms.PointwiseAffineTransform(torch.full((D,), 700.0), torch.rand(D) + 0.1)
    ),
    "InverseTransform, nested CompositeTransform": of(
        lambda: InverseTransform(
            transforms.CompositeTransform([coupling(), ActNorm(D), transforms.LULinear(D)])
        )
    ),
    "StandardNormal": simple(),
    "DiagonalNormal": lambda: lively(flow(coupling(), base=diagonal_base())),
    "ConditionalDiagonalNormal": lambda: lively(
        flow(
            coupling(net=residual(context_features=2)),
            base=distributions.ConditionalDiagonalNormal([D], nn.Linear(2, 2 * D)),
        )
    ),
    "float64 weights": lambda: simple()().double(),
}

REFUSED: dict[str, Maker] = {
    "training mode": lambda: simple()().train(),
    "float16 weights": lambda: simple()().half(),
    "ActNorm that has seen no data": without_data,
    "embedding network": lambda: flows.Flow(
        transforms.CompositeTransform([coupling()]),
        distributions.StandardNormal([D]),
        nn.Linear(3, 2),
    ).eval(),
    "spline coupling": lambda: lively(
        flow(
            coupling(),
            coupling(
                transforms.PiecewiseRationalQuadraticCouplingTransform,
                tails="linear",
            ),
        )
    ),
    "autoregressive transform": lambda: lively(
        flow(transforms.MaskedAffineAutoregressiveTransform(D, 16))
    ),
    "unconditional transform of the passive half": lambda: lively(
        flow(coupling(unconditional_transform=lambda features: ActNorm(features)))
    ),
    "unsupported scale function": lambda: lively(flow(coupling(UnsupportedScale))),
    "custom network that computes more than the network it wraps": lambda: lively(
        flow(coupling(net=lambda i, o: Unlike(nn.Linear(i, o))))
    ),
    "unsupported activation": lambda: lively(flow(coupling(net=residual(activation=torch.frac)))),
    "other base distributions": lambda: lively(
        flow(coupling(), base=distributions.ConditionalIndependentBernoulli([D]))
    ),
}


def log_prob(model: Any, x: Tensor, c: Tensor | None) -> Tensor:
    return model.log_prob(x, context=c)


def noise(model: Any, x: Tensor, c: Tensor | None) -> Tensor:
    z = model.transform_to_noise(x, context=c)
    mean, log_std = standardiser(model, c)
    return (z - mean) * torch.exp(-log_std)


def data(model: Any, z: Tensor, c: Tensor | None) -> Tensor:
    mean, log_std = standardiser(model, c)
    with mock.patch.object(torch, "solve", solve):
        return model._transform.inverse(z * torch.exp(log_std) + mean, context=c)[0]


def solve(B: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    """A replacement for torch.solve, which NaiveLinear calls and torch has removed."""
    return torch.linalg.solve(A, B), torch.linalg.lu_factor(A).LU


def standardiser(model: Any, c: Tensor | None) -> tuple[Any, Any]:
    base = model._distribution
    if hasattr(base, "_compute_params"):
        return base._compute_params(c)
    return getattr(base, "mean_", 0), getattr(base, "log_std_", torch.zeros(()))


LIBRARY = Library(
    name="nflows",
    version="0.14",
    converter="from_nflows",
    log_prob=log_prob,
    noise=noise,
    data=data,
    supported=SUPPORTED,
    refused=REFUSED,
    trainable=lambda: flow(
        transforms.PointwiseAffineTransform(torch.tensor([0.1, 0.2]), torch.tensor([0.5, 0.5])),
        *(
            layer
            for i in range(4)
            for layer in (
                transforms.AffineCouplingTransform(torch.tensor([1, -1]).roll(i), residual()),
                ActNorm(2),
            )
        ),
        dim=2,
    ),
    loss=lambda model, x: -model.log_prob(x).mean(),
)
