"""FrEIA 0.2, in all the versions that were published under that number.

A ``SequenceINN`` or ``GraphINN`` goes data → noise by usage, and holds no base: a standard normal
is taken. Its two-sided blocks move the first half, as the second says, and then the second: they
become two couplings each. Clamps are plain functions, so they are asked what they compute.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy.conversion.all_in_one import read_all_in_one
from rnvp_deploy.conversion.networks import Layer, compose, read_network
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.conversion.refusal import kinds, refusal
from rnvp_deploy.conversion.source import Piece, Source, bring
from rnvp_deploy.conversion.transforms import affine, coupling, selection
from rnvp_deploy.flow import RNVP
from rnvp_deploy.scales import Centred, Scale
from rnvp_deploy.transforms import Transform

__all__ = ["from_freia"]

_AFFINE = {
    "ActNorm",
    "FixedLinearTransform",
    "HouseholderPerm",
    "LearnedElementwiseScaling",
    "PermuteRandom",
}
_SUPPORTED = (
    "NICE-, RNVP-, GLOW- and GINCouplingBlock, AffineCouplingOneSided, AllInOneBlock, "
    "ConditionalAffineTransform, " + ", ".join(sorted(_AFFINE))
)


def from_freia(
    inn: Any,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> RNVP:
    """The distribution of a ``SequenceINN`` or ``GraphINN`` over a standard normal.

    The context is all of its conditions, side by side, in their order. ``columns`` and
    ``context_columns`` name the coordinates. Raises ConversionError.
    """
    return bring(inn, _read, columns, context_columns)


def _read(inn: Any) -> Source:
    layers = _graph(inn) if hasattr(inn, "node_list") else _sequence(inn)
    shape = inn.in_nodes[0].output_dims[0] if hasattr(inn, "node_list") else inn.shapes[0]
    if len(shape) != 1:
        raise refusal("", f"its rows have shape {tuple(shape)}; only vectors are converted")
    widths: dict[int, int] = {}
    for module, path, seen in layers:
        dims_c = getattr(module, "dims_c", None) or ()
        if len(dims_c) != len(seen):
            raise refusal(path, "it does not tell how wide its conditions are")
        widths |= {i: int(dims[0]) for i, dims in zip(seen, dims_c, strict=True)}
    conditions = _Conditions(widths)
    pieces = [
        _piece(module, path, int(shape[0]), seen, conditions) for module, path, seen in layers
    ]

    def log_prob(x: Tensor, c: Tensor | None) -> Tensor:
        z, log_det = inn(x, c=conditions.split(c))
        log_pz = -0.5 * (z * z).sum(-1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
        result: Tensor = log_pz + log_det
        return result

    return Source(int(shape[0]), sum(widths.values()), tuple(pieces), log_prob)


class _Conditions:
    """Where each condition of an INN lies in the context of a flow of ours."""

    def __init__(self, widths: dict[int, int]) -> None:
        self.widths = [widths.get(i, 0) for i in range(max(widths, default=-1) + 1)]

    def split(self, c: Tensor | None) -> list[Tensor] | None:
        return None if c is None else list(torch.split(c, self.widths, -1))

    def columns(self, seen: Sequence[int]) -> list[int]:
        """The columns of the context that are conditions ``seen``."""
        starts = [sum(self.widths[:i]) for i in seen]
        return [s + j for s, i in zip(starts, seen, strict=True) for j in range(self.widths[i])]

    @property
    def total(self) -> int:
        return sum(self.widths)


_Layers = list[tuple[Any, str, list[int]]]  # module, path, conditions that it sees


def _sequence(inn: Any) -> _Layers:
    return [
        (module, f"module_list.{i}", [] if seen is None else [seen])
        for i, (module, seen) in enumerate(zip(inn.module_list, inn.conditions, strict=True))
    ]


def _graph(inn: Any) -> _Layers:
    """The layers of a graph that is one chain."""
    if len(inn.in_nodes) != 1 or len(inn.out_nodes) != 1:
        raise refusal("", "a graph with several inputs or outputs is not converted; one of each is")
    layers: _Layers = []
    before = inn.in_nodes[0]
    for node in inn.node_list:
        if node.module is None:
            continue
        path = f"module_list.{len(layers)}"
        if [entry for entry, _ in node.inputs] != [before] or len(node.output_dims) != 1:
            raise refusal(
                path, f"node {node.name!r} branches; a graph must be one chain to be converted"
            )
        layers.append((node.module, path, [inn.condition_nodes.index(c) for c in node.conditions]))
        before = node
    return layers


def _settle(module: Any) -> None:
    """Make in float64 what was rounded apart in float32, where float32 explains it.

    Some layers store a matrix beside its inverse and its log-determinant, or an orthogonal matrix
    that is one to float32's rounding only. Then no flow has all their numbers.
    """
    if hasattr(module, "logDetM"):
        inverse, log_det = torch.linalg.inv(module.M), torch.linalg.slogdet(module.M).logabsdet
        if _close(inverse, module.M_inv) and _close(log_det, module.logDetM):
            module.M_inv.data, module.logDetM.data = inverse, log_det
    for name, inverse_name in (("w_perm", "w_perm_inv"), ("w", "w_inv"), ("w_0", ""), ("W", "")):
        matrix = getattr(module, name, None)
        if isinstance(matrix, nn.Parameter) and matrix.dim() == 2:
            U, _, Vh = torch.linalg.svd(matrix.data)
            if _close(U @ Vh, matrix) and (matrix != matrix.round()).any():
                matrix.data = U @ Vh
                if inverse_name:
                    getattr(module, inverse_name).data = (U @ Vh).T.contiguous()


def _close(exact: Tensor, stored: Tensor) -> bool:
    return torch.allclose(exact, stored, rtol=1e-5, atol=1e-5)


def _piece(module: Any, path: str, dim: int, seen: list[int], conditions: _Conditions) -> Piece:
    def run(x: Tensor, c: Tensor | None, rev: bool = False) -> tuple[Tensor, Tensor]:
        given = conditions.split(c)
        extra = {"c": [given[i] for i in seen]} if given is not None and seen else {}
        result = module((x,), rev=rev, **extra)
        # Until 2021 a module gave its outputs alone.
        (y,), log_det = result if len(result) == 2 else (result, module.jacobian((x,), rev=rev))
        return y, torch.as_tensor(log_det, dtype=x.dtype).expand(len(x))

    _settle(module)
    ours = _ours(module, path, dim, _Reader(conditions, seen), lambda x: run(x, None)[0])
    return Piece(path, ours, run, lambda z, c: run(z, c, rev=True)[0])


class _Reader:
    """Reads subnets, which see a half and some of the conditions, for couplings of ours."""

    def __init__(self, conditions: _Conditions, seen: list[int]) -> None:
        self.columns, self.total = conditions.columns(seen), conditions.total
        self.context_dim = self.total if seen else 0

    def __call__(self, subnet: Any, path: str, passive: int) -> list[Layer]:
        layers = read_network(subnet, path, passive + len(self.columns))
        if not self.columns or len(self.columns) == self.total:
            return layers
        chosen = [*range(passive), *(passive + column for column in self.columns)]
        return compose(layers, before=selection(chosen, passive + self.total))


def _ours(
    module: Any, path: str, dim: int, read: _Reader, function: Callable[[Tensor], Tensor]
) -> tuple[Transform, ...]:
    for kind in kinds(module):
        name = kind.partition(".")[2]
        if name in _TWO_SIDED:
            return _two_sided(module, path, dim, read, *_TWO_SIDED[name])
        if name == "AffineCouplingOneSided":
            first, second = range(module.split_len1), range(module.split_len1, dim)
            return _half(module, path, read, first, second, ("subnet",))
        if name == "ConditionalAffineTransform":
            return _half(module, path, read, range(0), range(dim), ("subnet",))
        if name == "AllInOneBlock":
            return read_all_in_one(module, path, dim, read, read.context_dim)
        if name in _AFFINE and not read.context_dim:
            if getattr(module, "init_on_next_batch", False) or not getattr(
                module, "is_initialized", True
            ):
                raise refusal(path, "an ActNorm that has seen no data yet; train the model first")
            return affine(function, dim, path)
    raise refusal(
        path,
        f"a {type(module).__name__} has no counterpart in an affine coupling flow; supported "
        f"are {_SUPPORTED}",
    )


# For each block, the subnets that move the first half, and those that move the second: s and t
# apart, or one for both, or t alone.
_TWO_SIDED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "NICECouplingBlock": (("", "F"), ("", "G")),
    "RNVPCouplingBlock": (("subnet_s2", "subnet_t2"), ("subnet_s1", "subnet_t1")),
    "GLOWCouplingBlock": (("subnet2",), ("subnet1",)),
    "GINCouplingBlock": (("subnet2",), ("subnet1",)),
}


def _two_sided(
    module: Any,
    path: str,
    dim: int,
    read: _Reader,
    moving_first: tuple[str, ...],
    moving_second: tuple[str, ...],
) -> tuple[Transform, ...]:
    first, second = range(module.split_len1), range(module.split_len1, dim)
    return (
        *_half(module, path, read, second, first, moving_first),
        *_half(module, path, read, first, second, moving_second),
    )


def _half(
    module: Any, path: str, read: _Reader, passive: range, active: range, names: tuple[str, ...]
) -> tuple[Transform, ...]:
    """The coupling in which ``passive`` moves ``active``; none if there is nothing to move."""
    if not active:
        return ()
    nets = [
        read(getattr(module, name), f"{path}.{name}", len(passive)) if name else None
        for name in names
    ]
    sig, mu, joint = (*nets, None) if len(nets) == 2 else (None, None, *nets)
    scale: Scale | None = None
    if names[0]:
        scale = recognise_scale(lambda u: module.clamp * module.f_clamp(u), f"{path}.f_clamp")
    if any(kind.endswith(".GINCouplingBlock") for kind in kinds(module)):
        assert scale is not None
        scale = Centred(scale)
    context_dim = read.context_dim
    return (
        coupling(
            passive, active, sig=sig, mu=mu, joint=joint, scale=scale, context_dim=context_dim
        ),
    )
