"""FrEIA 0.2, in all the versions that were published under that number.

A ``SequenceINN`` or ``GraphINN`` is used in the direction data → latent and has no base: a
standard normal is assumed. Its two-sided blocks move the first half given the second, then the
second half given the first: each becomes two couplings. Clamps are plain functions, recognised by
what they compute.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnvp_deploy import ir
from rnvp_deploy.conversion.affine import read_affine
from rnvp_deploy.conversion.couplings import coupling
from rnvp_deploy.conversion.networks import read_network
from rnvp_deploy.conversion.readers.freia_all_in_one import read_all_in_one
from rnvp_deploy.conversion.recognition import recognise_scale
from rnvp_deploy.conversion.refusal import located, refusal, type_names
from rnvp_deploy.conversion.source import Context, Reader, SourceFlow, SourceLayer
from rnvp_deploy.ir.networks import scatter_inputs
from rnvp_deploy.scales import Centred, Scale

__all__ = ["READER"]

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


def _is_flow(module: Any) -> bool:
    return hasattr(module, "node_list") or (
        hasattr(module, "module_list") and hasattr(module, "shapes")
    )


def _read(inn: Any) -> SourceFlow:
    if not _is_flow(inn):
        raise refusal("", f"a {type(inn).__name__} is not a SequenceINN or GraphINN of FrEIA")
    layers = _graph(inn) if hasattr(inn, "node_list") else _sequence(inn)
    shape = inn.in_nodes[0].output_dims[0] if hasattr(inn, "node_list") else inn.shapes[0]
    if len(shape) != 1:
        raise refusal("", f"its rows have shape {tuple(shape)}; only vectors are converted")
    widths: dict[int, int] = {}
    for module, path, seen in layers:
        dims_c = getattr(module, "dims_c", None) or ()
        if len(dims_c) != len(seen):
            raise refusal(path, "it has no record of the width of its conditions")
        widths |= {i: int(dims[0]) for i, dims in zip(seen, dims_c, strict=True)}
    conditions = _Conditions(widths)
    dim = int(shape[0])
    read = [_layer(module, path, dim, seen, conditions) for module, path, seen in layers]

    def log_prob(x: Tensor, c: Context) -> Tensor:
        z, log_det = inn(x, c=conditions.split(c))
        log_pz = -0.5 * (z * z).sum(-1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
        result: Tensor = log_pz + log_det
        return result

    return SourceFlow(dim, sum(widths.values()), tuple(read), log_prob)


class _Conditions:
    """The conditions of an INN as columns of one context, side by side in their order."""

    def __init__(self, widths: dict[int, int]) -> None:
        self.widths = [widths.get(i, 0) for i in range(max(widths, default=-1) + 1)]

    def split(self, c: Context) -> list[Tensor] | None:
        return None if c is None else list(torch.split(c, self.widths, -1))

    def columns(self, seen: Sequence[int]) -> list[int]:
        """The columns of the context that are conditions ``seen``."""
        starts = [sum(self.widths[:i]) for i in seen]
        return [s + j for s, i in zip(starts, seen, strict=True) for j in range(self.widths[i])]

    @property
    def total(self) -> int:
        return sum(self.widths)


_Layers = list[tuple[Any, str, list[int]]]  # module, path, conditions that it gets


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


def _recompute_rounded(module: Any) -> None:
    """Recompute in float64 what the module stores twice, if it agrees to float32's rounding.

    Some layers store a matrix beside its inverse and its log-determinant, or a matrix that is
    orthogonal only to float32's rounding. No single flow reproduces all these numbers.
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


@located
def _layer(
    module: Any, path: str, dim: int, seen: list[int], conditions: _Conditions
) -> SourceLayer:
    def run(x: Tensor, c: Context, rev: bool = False) -> tuple[Tensor, Tensor]:
        given = conditions.split(c)
        extra = {"c": [given[i] for i in seen]} if given is not None and seen else {}
        result = module((x,), rev=rev, **extra)
        # Until 2021 a module returned its outputs alone.
        (y,), log_det = result if len(result) == 2 else (result, module.jacobian((x,), rev=rev))
        return y, torch.as_tensor(log_det, dtype=x.dtype).expand(len(x))

    _recompute_rounded(module)
    read = _SubnetReader(conditions, seen)
    transforms = _transforms(module, path, dim, read, lambda x: run(x, None)[0])
    return SourceLayer(path, transforms, run, lambda z, c: run(z, c, rev=True)[0])


class _SubnetReader:
    """Reads subnets, whose inputs are a half of the coordinates and some of the conditions."""

    def __init__(self, conditions: _Conditions, seen: list[int]) -> None:
        self.columns, self.total = conditions.columns(seen), conditions.total
        self.context_dim = self.total if seen else 0

    def __call__(self, subnet: Any, path: str, passive: int) -> ir.Network:
        network = read_network(subnet, path, passive + len(self.columns))
        if not self.columns or len(self.columns) == self.total:
            return network
        chosen = [*range(passive), *(passive + column for column in self.columns)]
        return scatter_inputs(network, chosen, passive + self.total)


def _transforms(
    module: Any,
    path: str,
    dim: int,
    read: _SubnetReader,
    function: Callable[[Tensor], Tensor],
) -> tuple[ir.Transform, ...]:
    for kind in type_names(module):
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
            return read_affine(function, dim, path)
    raise refusal(
        path,
        f"a {type(module).__name__} has no counterpart in an affine coupling flow; supported "
        f"are {_SUPPORTED}",
    )


# For each block, the subnets that move the first half, and those that move the second: separate
# ones for s and t, or one for both, or t alone.
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
    read: _SubnetReader,
    moving_first: tuple[str, ...],
    moving_second: tuple[str, ...],
) -> tuple[ir.Transform, ...]:
    first, second = range(module.split_len1), range(module.split_len1, dim)
    return (
        *_half(module, path, read, second, first, moving_first),
        *_half(module, path, read, first, second, moving_second),
    )


def _half(
    module: Any,
    path: str,
    read: _SubnetReader,
    passive: range,
    active: range,
    names: tuple[str, ...],
) -> tuple[ir.Transform, ...]:
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
    if any(kind.endswith(".GINCouplingBlock") for kind in type_names(module)):
        assert scale is not None
        scale = Centred(scale)
    return (
        coupling(
            path,
            passive,
            active,
            sig=sig,
            mu=mu,
            joint=joint,
            scale=scale,
            context_dim=read.context_dim,
        ),
    )


READER = Reader("FrEIA", _is_flow, _read)
