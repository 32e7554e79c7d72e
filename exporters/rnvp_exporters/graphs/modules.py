"""The modules of a bundle's graphs, ready to be traced, made from the lowered flow."""

import math

import torch
from torch import Tensor, nn

from rnvp_exporters.graphs.operators import PLAIN, Operators
from rnvp_exporters.graphs.steps import DiagonalStep, Direction, ElementwiseStep, Join, Split, step
from rnvp_exporters.lowering import Lowered, PlacedCoupling

__all__ = ["Density", "Inverse", "Sampler", "TransformStack"]


def log_base(z: Tensor) -> Tensor:
    """−½ ‖z‖²: (n, d) → (n,). The constant of the normal density is in ``TransformStack``.

    ``Mul`` and ``ReduceSum``, not ``ReduceSumSquare``: onnxruntime sums that in sequence, with
    9 times the error of PyTorch at d 1,024, and several engines lack it.
    """
    return (z * z).sum(-1) * -0.5


class Density(nn.Module):
    """x (n, d) [, context (n, c)] → log_prob (n,) in nats, z (n, d)."""

    def __init__(self, lowered: Lowered, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.stack = TransformStack(lowered, "forward", operators).to(dtype)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_scales = self.stack(x, context)
        log_prob = log_base(z) if log_scales is None else log_scales + log_base(z)
        return log_prob + self.stack.constant, z


class Inverse(nn.Module):
    """z (n, d) [, context (n, c)] → x (n, d), log_prob (n,) of that x, in nats.

    If x has integer columns, it is rounded, and its log_prob is that of the density graph: the
    flow runs in both directions. A caller that needs no log_prob removes the second one.
    """

    def __init__(self, lowered: Lowered, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.stack = TransformStack(lowered, "inverse", operators).to(dtype)
        rounds = lowered.elementwise is not None and lowered.elementwise.rounds
        self.density = Density(lowered, operators, dtype) if rounds else None

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_scales = self.stack(z, context)
        if self.density is not None:
            log_prob, _ = self.density(x, context)
            return x, log_prob
        log_prob = log_base(z) if log_scales is None else log_base(z) - log_scales
        return x, log_prob + self.stack.constant


class Sampler(nn.Module):
    """seed, start, count, temperature [, context (count, c)] → x (count, d), log_prob (count,).

    seed, start and count are int64 scalars; temperature is a scalar of the flow's dtype. The latent
    is ``temperature`` times rows start … start + count − 1 of the sample stream of ``seed``.
    """

    def __init__(self, lowered: Lowered, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.flow = Inverse(lowered, operators, dtype)
        self.operators = operators
        self.dim, self.in_double = lowered.dim, dtype == torch.float64

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
            rows = context.shape[
                0
            ]  # symbolic; torch.export assumes an equal count to be at least 2
        noise = self.operators.normals(seed, start, rows, self.dim, self.in_double)
        if context is not None and torch.compiler.is_exporting():
            torch._check(noise.shape[0] == context.shape[0])  # type: ignore[no-untyped-call]
        x, log_prob = self.flow(noise * temperature, context)
        return x, log_prob


class TransformStack(nn.Module):
    """All transforms in one direction: the coordinates at the end, and the sum of all σ.

    The log-determinants of affines and linears and the base's −½ d log 2π are one ``constant`` of
    log_prob. It is added last, when the other terms are summed: added earlier, it would make the
    partial sums large, and their rounding with them.
    """

    constant: Tensor

    def __init__(self, lowered: Lowered, direction: Direction, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        constant = lowered.log_det - 0.5 * lowered.dim * math.log(2 * math.pi)
        columns, order = tuple(range(lowered.dim)), lowered.order
        ends = [lowered.entry, lowered.exit]
        steps = list(lowered.steps)
        if direction == "inverse":
            ends, steps = ends[::-1], steps[::-1]
            columns, order = order, columns
        self.entry, self.exit = (
            None if affine is None else DiagonalStep(affine, direction) for affine in ends
        )
        maps = lowered.elementwise
        step_of_data = None if maps is None else ElementwiseStep(maps, direction)
        self.before = step_of_data if direction == "forward" else None
        self.after = step_of_data if direction == "inverse" else None
        self.split, self.join = Split(lowered.parts, columns), Join(lowered.parts, order)
        self.steps = nn.ModuleList(
            [step(value, lowered.parts, direction, operators) for value in steps]
        )
        self.writes = [value.writes if isinstance(value, PlacedCoupling) else 0 for value in steps]
        self.widths = [len(part) for part in lowered.parts]
        self.register_buffer("constant", torch.tensor(constant, dtype=torch.float64))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The coordinates (n, d), and Σσ of this direction (n,), or None if all σ are constant."""
        log_det = None
        if self.before is not None:
            x, log_det = self.before(x)
        if self.entry is not None:
            x = self.entry(x)
        parts = self.split(x)
        terms: dict[int, list[Tensor]] = {}
        for module, written in zip(self.steps, self.writes, strict=True):
            log_scale = module(parts, context)
            if log_scale is not None:
                terms.setdefault(self.widths[written], []).append(log_scale)
        x = self.join(parts)
        if self.exit is not None:
            x = self.exit(x)
        if self.after is not None:
            x, log_det = self.after(x)
        totals = [self.operators.total(group) for group in terms.values()]
        totals += [] if log_det is None else [log_det]
        return x, sum(totals[1:], start=totals[0]) if totals else None
