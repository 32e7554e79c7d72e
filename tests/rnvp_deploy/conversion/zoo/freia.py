"""FrEIA 0.2."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune  # noqa: F401

from . import Library, Maker, lively, quietly
from .freia_history import ActNorm, AllInOneBlock, InReleaseStyle, SoftlyClamped

with quietly():
    import FrEIA.framework as Ff
    import FrEIA.modules as Fm

D = 5
TWO_SIDED = (Fm.RNVPCouplingBlock, Fm.GLOWCouplingBlock, Fm.GINCouplingBlock)


def subnet(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, outputs))


def normed(inputs: int, outputs: int) -> nn.Module:
    with quietly():
        first = nn.utils.weight_norm(nn.Linear(inputs, 16))  # as a hook
    middle = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 16))
    last = nn.Linear(16, outputs)
    nn.utils.prune.random_unstructured(last, "weight", amount=0.3)
    return nn.Sequential(first, nn.Tanh(), middle, nn.Tanh(), last)


class Residual(nn.Module):
    """A network whose custom forward no converter can read."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, 16), nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))


def sequence(*layers: tuple[Any, dict[str, Any]], dim: int = D) -> Any:
    inn = Ff.SequenceINN(dim)
    for module, options in layers:
        inn.append(module, **options)
    return inn


def of(*layers: tuple[Any, dict[str, Any]], amount: float = 0.15) -> Maker:
    def made() -> Any:
        torch.manual_seed(1)
        return lively(sequence(*layers), amount)

    return made


def with_subnet(module: Any, constructor: Any = subnet, **options: Any) -> tuple[Any, Any]:
    return module, {"subnet_constructor": constructor, **options}


def all_in_one(**options: Any) -> Maker:
    return of(*[with_subnet(Fm.AllInOneBlock, **options)] * 3)


def softly_permuted() -> Any:
    """A model whose rotations are orthogonal in float64. FrEIA makes them in float32."""
    inn = all_in_one(permute_soft=True, global_affine_type="SIGMOID")().double()
    for block in inn:
        U, _, Vh = torch.linalg.svd(block.w_perm)
        block.w_perm.data, block.w_perm_inv.data = U @ Vh, (U @ Vh).T.contiguous()
    return inn


def conditional() -> Any:
    return lively(
        sequence(
            with_subnet(Fm.RNVPCouplingBlock, cond=0, cond_shape=(2,)),
            with_subnet(Fm.AllInOneBlock, cond=1, cond_shape=(1,)),
            with_subnet(Fm.ConditionalAffineTransform, cond=1, cond_shape=(1,)),
            with_subnet(Fm.GLOWCouplingBlock),
        )
    )


def graph(conditions: bool = False, branches: bool = False) -> Any:
    nodes: list[Any] = [Ff.InputNode(D, name="input")]
    given = [Ff.ConditionNode(3)] if conditions else []
    options = {"subnet_constructor": subnet}
    for _ in range(2):
        nodes.append(Ff.Node(nodes[-1], Fm.GLOWCouplingBlock, options, conditions=given))
        nodes.append(Ff.Node(nodes[-1], Fm.PermuteRandom, {"seed": 0}))
    if branches:
        nodes.append(Ff.Node(nodes[-1], Fm.Split, {"section_sizes": [2, 3]}))
        nodes.append(Ff.Node([nodes[-1].out0, nodes[-1].out1], Fm.Concat, {}))
    nodes.append(Ff.OutputNode(nodes[-1]))
    return lively(Ff.GraphINN([*nodes, *given], verbose=False))


def act_norm() -> Any:
    inn = of(with_subnet(Fm.GLOWCouplingBlock), (Fm.ActNorm, {}), (ActNorm, {}))()
    inn[1].init_on_next_batch = False
    return inn


def fixed_linear() -> Any:
    torch.manual_seed(5)
    M = torch.randn(D, D, dtype=torch.float64)
    return of(
        with_subnet(Fm.GLOWCouplingBlock),
        (Fm.FixedLinearTransform, {"M": M, "b": M[0]}),
    )().double()


SUPPORTED: dict[str, Maker] = {
    **{
        f"{block.__name__}, clamp_activation {clamp}": of(
            with_subnet(block, clamp_activation=clamp),
            with_subnet(block, clamp_activation=clamp, clamp=0.7, split_len=0.3),
        )
        for block in TWO_SIDED
        for clamp in ("ATAN", "TANH", "SIGMOID")
    },
    "subnets with weight_norm, spectral_norm, pruning": of(
        with_subnet(Fm.GLOWCouplingBlock, normed)
    ),
    "NICECouplingBlock": of(with_subnet(Fm.NICECouplingBlock)),
    "AffineCouplingOneSided": of(with_subnet(Fm.AffineCouplingOneSided)),
    "AllInOneBlock": all_in_one(),
    "AllInOneBlock, gin_block": all_in_one(gin_block=True),
    "AllInOneBlock, permute_soft, SIGMOID": softly_permuted,
    "AllInOneBlock, learned_householder_permutation, reverse_permutation, EXP": all_in_one(
        learned_householder_permutation=2, reverse_permutation=True, global_affine_type="EXP"
    ),
    "AllInOneBlock since August 2023": of(*[with_subnet(SoftlyClamped)] * 3),
    "AllInOneBlock since August 2023, gin_block": of(
        *[with_subnet(SoftlyClamped, gin_block=True)] * 3
    ),
    "AllInOneBlock of release 0.2": lambda: lively(
        InReleaseStyle(D, *(AllInOneBlock([(D,)], subnet, householder=i) for i in (0, 2)))
    ),
    "PermuteRandom": of(with_subnet(Fm.GLOWCouplingBlock), (Fm.PermuteRandom, {"seed": 1})),
    "ActNorm": act_norm,
    "FixedLinearTransform": fixed_linear,
    "HouseholderPerm, LearnedElementwiseScaling": of(
        with_subnet(Fm.GLOWCouplingBlock),
        (Fm.HouseholderPerm, {"n_reflections": 3}),
        (Fm.LearnedElementwiseScaling, {}),
    ),
    "SequenceINN with conditions, ConditionalAffineTransform": conditional,
    "GraphINN that is one chain": graph,
    "GraphINN with conditions": lambda: graph(conditions=True),
}


def inconsistent() -> Any:
    inn = fixed_linear()
    inn[1].logDetM += 0.1
    return inn


REFUSED: dict[str, Maker] = {
    "training mode": lambda: of(with_subnet(Fm.GLOWCouplingBlock))().train(),
    "ActNorm that has seen no data": lambda: sequence((Fm.ActNorm, {})).eval(),
    "GraphINN that branches": lambda: graph(branches=True),
    "IResNetLayer": lambda: sequence((Fm.IResNetLayer, {"internal_size": 8})).eval(),
    "InvertibleSigmoid": lambda: sequence((Fm.InvertibleSigmoid, {})).eval(),
    "InvAutoAct": lambda: sequence((Fm.InvAutoAct, {})).eval(),
    "subnet with a custom forward": lambda: lively(
        sequence(with_subnet(Fm.GLOWCouplingBlock, Residual))
    ),
    "unsupported clamp activation": lambda: lively(
        sequence(with_subnet(Fm.GLOWCouplingBlock, clamp_activation=torch.sin))
    ),
    "FixedLinearTransform with a wrong log-determinant": inconsistent,
}


def conditions(model: Any, c: Tensor | None) -> Any:
    if c is None:
        return None
    return [c] if hasattr(model, "node_list") else list(c.split([2, 1], 1))


def log_prob(model: Any, x: Tensor, c: Tensor | None) -> Tensor:
    z, log_det = model(x, c=conditions(model, c))
    return log_det - 0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


LIBRARY = Library(
    name="FrEIA",
    version="0.2",
    converter="from_freia",
    log_prob=log_prob,
    noise=lambda model, x, c: model(x, c=conditions(model, c))[0],
    data=lambda model, z, c: model(z, c=conditions(model, c), rev=True)[0],
    supported=SUPPORTED,
    refused=REFUSED,
    trainable=lambda: sequence(*[with_subnet(Fm.GLOWCouplingBlock)] * 5, dim=2),
    loss=lambda model, x: -log_prob(model, x, None).mean(),
)
