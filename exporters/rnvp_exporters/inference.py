"""The inference form of a flow: three modules, ready to be traced.

The coordinates lie in one or two tensors, the *parts*, from the first transform to the last.
Where every coupling moves one of two halves as the other says, the halves are kept apart: no
node splits or joins them on the way, and every network is as wide as it must be. Where the masks
allow no such two halves, the coordinates stay together, and each coupling's index sets are
written into its weights: zero columns for what it may not see, zero rows for what it does not
move. Either way a permutation costs no node.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rnvp_deploy import RNVP
from rnvp_deploy.transforms import Coupling, DiagonalAffine, Linear, Permutation, Transform
from rnvp_exporters.lowering import lower
from rnvp_exporters.operators import PLAIN, Operators
from rnvp_exporters.steps import (
    Affine,
    AffineStep,
    Direction,
    Join,
    LinearStep,
    LoweredCoupling,
    Parts,
    Split,
)

__all__ = ["Density", "Inverse", "Passage", "Sampler", "apart", "partition"]


class Density(nn.Module):
    """x (n, d) [, context (n, c)] → log_prob (n,) in nats, z (n, d)."""

    def __init__(self, flow: RNVP, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.passage = Passage(flow, "forward", operators).to(dtype)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.passage(x, context)
        return log_det - self.passage.operators.squares(z) * 0.5, z


class Inverse(nn.Module):
    """z (n, d) [, context (n, c)] → x (n, d), log_prob (n,) of that x, in nats."""

    def __init__(self, flow: RNVP, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.passage = Passage(flow, "inverse", operators).to(dtype)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.passage(z, context)
        return x, self.passage.operators.squares(z) * -0.5 - log_det


class Sampler(nn.Module):
    """seed, start, count, temperature [, context (count, c)] → x (count, d), log_prob (count,).

    seed, start and count are int64 scalars, temperature one of the flow's dtype. The latent is
    ``temperature`` times rows start … start + count − 1 of the stream ``seed``.
    """

    def __init__(self, flow: RNVP, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.flow = Inverse(flow, operators, dtype)
        self.operators = operators
        self.dim, self.in_double = flow.dim, dtype == torch.float64

    def forward(
        self,
        seed: Tensor,
        start: Tensor,
        count: Tensor,
        temperature: Tensor,
        context: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        rows: Tensor | int = count
        if context is not None and self.operators is PLAIN and torch.compiler.is_exporting():
            rows = context.shape[0]  # a symbol; torch.export takes an equal count to be 2 or more
        noise = self.operators.normals(seed, start, rows, self.dim, self.in_double)
        if context is not None and torch.compiler.is_exporting():
            torch._check(noise.shape[0] == context.shape[0])  # type: ignore[no-untyped-call]
        x, log_prob = self.flow(noise * temperature, context)
        return x, log_prob


class Passage(nn.Module):
    """All transforms in one direction: the coordinates at the far end, and log |det| of the way.

    The log-determinants of affines and linears and the base's ½ d log 2π are one number, known
    now; it is added once, in the sum that reduces every coupling's Σσ, so that ``forward`` gives
    the log-determinant with that number in it (less it, on the way back).
    """

    def __init__(self, flow: RNVP, direction: Direction, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        transforms = lower(flow)
        constant = sum(map(_constant_log_det, transforms), -0.5 * flow.dim * math.log(2 * math.pi))
        columns = order = tuple(range(flow.dim))
        if isinstance(permutation := transforms[-1], Permutation):
            order = permutation.spec.order
            transforms.pop()
        parts = partition(transforms, flow.dim)
        ends: list[Affine | None] = [None, None]
        if transforms and isinstance(first := transforms[0], DiagonalAffine):
            ends[0] = Affine(first, direction)
            transforms.pop(0)
        if transforms and isinstance(last := transforms[-1], DiagonalAffine):
            ends[1] = Affine(last.restricted(list(order)), direction)
            transforms.pop()
        steps = [_step(transform, parts, direction) for transform in transforms]
        if direction == "inverse":
            ends, steps, constant = ends[::-1], steps[::-1], -constant
            columns, order = order, columns
        self.entry, self.exit = ends
        self.split, self.join = Split(parts, columns), Join(parts, order)
        self.steps = nn.ModuleList(steps)
        self.constant: Tensor
        self.widths = [len(part) for part in parts]
        width = self.widths[0]
        spread = torch.full((width,), constant / width, dtype=torch.float64)
        self.register_buffer("constant", spread)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.entry is not None:
            x = self.entry(x)
        parts = self.split(x)
        terms: dict[int, list[Tensor]] = {self.widths[0]: []}
        for step in self.steps:
            log_scale = step(parts, context)
            if log_scale is not None:
                assert isinstance(step, LoweredCoupling)
                terms.setdefault(self.widths[step.writes], []).append(log_scale)
        x = self.join(parts)
        if self.exit is not None:
            x = self.exit(x)
        terms[self.widths[0]].append(self.constant)
        return x, self._total(list(terms.values()))

    def _total(self, groups: list[list[Tensor]]) -> Tensor:
        log_det = self.operators.total(groups[0]) if len(groups[0]) > 1 else groups[0][0].sum()
        for group in groups[1:]:
            log_det = log_det + self.operators.total(group)
        return log_det


def partition(transforms: Sequence[Transform], dim: int) -> Parts:
    """The halves that the couplings move in turn; all coordinates together if there are none."""
    together: Parts = (tuple(range(dim)),)
    divisions = set()
    for transform in transforms:
        if isinstance(transform, Linear):
            return together
        if isinstance(transform, Coupling):
            spec = transform.spec
            divisions.add(tuple(sorted((tuple(sorted(spec.passive)), tuple(sorted(spec.active))))))
    if len(divisions) != 1:
        return together
    halves: Parts = divisions.pop()
    return halves if all(halves) else together


def apart(flow: RNVP) -> bool:
    """Whether the halves stay apart, so that a NaN goes where it goes in eager and no further."""
    return len(partition(lower(flow), flow.dim)) > 1


def _constant_log_det(transform: Transform) -> float:
    match transform:
        case DiagonalAffine():
            return -float(transform.log_scale.sum())
        case Linear():
            return float(transform.log_abs_det())
    return 0.0


def _step(transform: Transform, parts: Parts, direction: Direction) -> nn.Module:
    match transform:
        case Coupling():
            return LoweredCoupling(transform, parts, direction)
        case Linear():
            return LinearStep(transform, direction)
        case DiagonalAffine():
            return AffineStep(transform, parts, direction)
    raise AssertionError(f"a {type(transform).__name__} is left after lowering")
