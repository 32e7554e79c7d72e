"""The modules of a bundle's graphs, ready to be traced, made from the lowered flow."""

import math

import torch
from torch import Tensor, nn

from rnvp_exporters.graphs.operators import PLAIN, Operators
from rnvp_exporters.graphs.steps import DiagonalStep, Direction, Join, Split, step
from rnvp_exporters.lowering import Lowered

__all__ = ["Density", "Inverse", "Sampler", "TransformStack"]


class Density(nn.Module):
    """x (n, d) [, context (n, c)] → log_prob (n,) in nats, z (n, d)."""

    def __init__(self, lowered: Lowered, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.stack = TransformStack(lowered, "forward", operators).to(dtype)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.stack(x, context)
        return log_det - self.stack.operators.squares(z) * 0.5, z


class Inverse(nn.Module):
    """z (n, d) [, context (n, c)] → x (n, d), log_prob (n,) of that x, in nats."""

    def __init__(self, lowered: Lowered, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.stack = TransformStack(lowered, "inverse", operators).to(dtype)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.stack(z, context)
        return x, self.stack.operators.squares(z) * -0.5 - log_det


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
    """All transforms in one direction: the coordinates at the end, and log |det| of the direction.

    The log-determinants of affines and linears and the base's −½ d log 2π are one constant. It is
    added once, in the sum that reduces the σ of every coupling, so that the log-determinant that
    ``forward`` returns contains it (with a minus sign in the inverse direction).
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
            ends, steps, constant = ends[::-1], steps[::-1], -constant
            columns, order = order, columns
        self.entry, self.exit = (
            None if affine is None else DiagonalStep(affine, direction) for affine in ends
        )
        self.split, self.join = Split(lowered.parts, columns), Join(lowered.parts, order)
        self.steps = nn.ModuleList(
            [step(value, lowered.parts, direction, operators) for value in steps]
        )
        self.widths = [len(part) for part in lowered.parts]
        width = self.widths[0]
        spread = torch.full((width,), constant / width, dtype=torch.float64)
        self.register_buffer("constant", spread)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, terms = self.moved(x, context)
        return x, self.total(terms)

    def moved(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The coordinates at the end, (n, d), and the σ of every coupling, each (n, width)."""
        if self.entry is not None:
            x = self.entry(x)
        parts = self.split(x)
        log_scales = [module(parts, context) for module in self.steps]
        x = self.join(parts)
        if self.exit is not None:
            x = self.exit(x)
        return x, [log_scale for log_scale in log_scales if log_scale is not None]

    def total(self, terms: list[Tensor]) -> Tensor:
        """log |det|, (n,), from the σ that ``moved`` returns."""
        groups: dict[int, list[Tensor]] = {self.widths[0]: []}
        for term in terms:
            groups.setdefault(term.shape[-1], []).append(term)
        first, *others = groups.values()
        log_det = self.operators.total([*first, self.constant]) if first else self.constant.sum()
        for group in others:
            log_det = log_det + self.operators.total(group)
        return log_det
