"""The modules of a bundle's graphs, ready to be traced, made from the lowered flow."""

import math

import torch
from torch import Tensor, nn

from rnvp_exporters.graphs.operators import PLAIN, Operators
from rnvp_exporters.graphs.steps import DiagonalStep, Direction, ElementwiseStep, Join, Split, step
from rnvp_exporters.lowering import Lowered

__all__ = ["Density", "Inverse", "Sampler", "TransformStack"]


def log_base(z: Tensor) -> Tensor:
    """−½ ‖z‖²: (n, d) → (n,). The constant of the normal density is in ``TransformStack``.

    ``Mul`` and ``ReduceSum``, not ``ReduceSumSquare``: onnxruntime sums that in sequence, with
    9 times the error of PyTorch at d 1,024, and several engines lack it.
    """
    return (z * z).sum(1) * -0.5


class Density(nn.Module):
    """x (n, d) [, context (n, c)] → log_prob (n,) in nats, z (n, d)."""

    def __init__(self, lowered: Lowered, operators: Operators, dtype: torch.dtype) -> None:
        super().__init__()
        self.stack = TransformStack(lowered, "forward", operators).to(dtype)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_scales = self.stack(x, context)
        return self.stack.log_prob(z, log_scales), z


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
        return x, self.stack.log_prob(z, log_scales)


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
    """All transforms in one direction, and log_prob from their outputs.

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
        self.is_forward = direction == "forward"
        self.register_buffer("constant", torch.tensor(constant, dtype=torch.float64))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """The coordinates at the end, (n, d), and the terms of log |det| that depend on the row.

        They are the σ of every coupling, each (n, width), and that of the column maps, (n, 1).
        """
        given, log_det = x, None
        if self.before is not None:
            x, log_det = self.before(x)
        if self.entry is not None:
            x = self.entry(x)
        parts = self.split(x)
        log_scales = [module(parts, context) for module in self.steps]
        x = self.join(parts)
        if self.exit is not None:
            x = self.exit(x)
        if self.after is not None:
            x, log_det = self.after(x)
        if x is given:  # of an identity, an exporter would give input and output one name
            x = x * 1.0
        terms = [log_scale for log_scale in log_scales if log_scale is not None]
        return x, [*terms, *([] if log_det is None else [log_det.unsqueeze(-1)])]

    def log_prob(self, z: Tensor, log_scales: list[Tensor]) -> Tensor:
        """log p(x), (n,) in nats, of the x whose latent is z, from the σ of this direction."""
        log_prob = log_base(z)
        widths: dict[int, list[Tensor]] = {}
        for log_scale in log_scales:
            widths.setdefault(log_scale.shape[-1], []).append(log_scale)
        for same_width in widths.values():
            total = self.operators.total(same_width)
            log_prob = log_prob + total if self.is_forward else log_prob - total
        return log_prob + self.constant
