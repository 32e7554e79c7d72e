"""The check of every conversion: it must compute the same as its source, in float64.

z, log-density and inverse are compared on rows drawn from the source itself, in its tails and far
from its data: first each layer alone, so that a refusal can name the first that differs, then the
whole. Two correct implementations still differ by rounding, which a steep flow amplifies. The
amplification is measured: each layer's inputs are changed in their last bits. Each layer is also
compared on rows up to a million times as far from the data as the samples, where clamps act.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnvp_deploy import ir
from rnvp_deploy.conversion.float64 import in_float64
from rnvp_deploy.conversion.refusal import refusal, refusing
from rnvp_deploy.conversion.source import Context, SourceFlow, SourceLayer
from rnvp_deploy.errors import ConversionError
from rnvp_deploy.flow import RNVP
from rnvp_deploy.transforms import Transform

__all__ = ["prove"]

TOLERANCE = 1e-10
"""The largest difference, relative to a row's largest number, beside what rounding explains."""

ROUNDING = 1000.0
"""How many times the source's own change, when its layers' inputs change by a few ulps, is allowed.

The factor is large because rounding inside a layer counts too. A flow that is not steep changes by
some 1e-15; then TOLERANCE decides.
"""

FAR_TOLERANCE = 1e-6
"""The same for rows very far from the data, where a clamp or a bound may act.

There exp(σ) keeps few digits of a small number: the log-determinant may also differ by 1 a column.
"""

FAR = 6.0  # such rows are up to 10^FAR standard deviations from the data

PERTURBATIONS = 4

ROWS = 256
LARGEST = 1e30  # of the numbers in a row that is compared; beyond, sums overflow by their order

Rows = tuple[Tensor, ...]  # each (n, d) or (n,)
Perturb = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Pair:
    """A layer of the source, and its replacement as modules."""

    source: SourceLayer
    modules: tuple[Transform, ...]

    @property
    def path(self) -> str:
        return self.source.path

    def source_forward(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        with refusing(self.path, f"its forward fails on rows of {x.shape[1]} numbers"):
            z, log_det = self.source.forward(x.clone(), c)  # it may write to its input
            return z, log_det

    def source_inverse(self, z: Tensor, c: Context) -> Tensor:
        """The source's inverse; if that fails, the replacement's, after it was checked.

        Some layers call functions that newer versions of torch lack (``torch.solve`` in nflows'
        NaiveLinear).
        """
        try:
            return self.source.inverse(z.clone(), c)
        except Exception:
            x = self.inverse(z, c)
            back, _ = self.source_forward(x, c)
            _require_equal(self.path, ("inverse",), (back,), (z,), (0 * _largest(z),))
            return x

    def forward(self, x: Tensor, c: Context) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for transform in self.modules:
            x, log_det = transform(x, c)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, c: Context) -> Tensor:
        for transform in reversed(self.modules):
            z = transform.inverse(z, c)
        return z


def prove(source: SourceFlow, flow: RNVP) -> None:
    """Check ``flow``, the conversion of ``source`` in float64.

    Raises:
        ConversionError: the flow or one of its layers differs from the source by more than
            rounding, or the source fails or is not finite.
    """
    generator = torch.Generator().manual_seed(0)

    def normal(columns: int) -> Tensor:
        return torch.randn(3 * ROWS, columns, generator=generator, dtype=torch.float64)

    c = normal(source.context_dim) if source.context_dim else None
    z = normal(source.dim)
    z[ROWS : 2 * ROWS] *= 4.0
    pairs = [
        _Pair(layer, tuple(map(ir.build_transform, layer.transforms))) for layer in source.layers
    ]
    with in_float64():
        x = _source_inverse(pairs, z, c)
        finite = _largest(x) < LARGEST
        samples = x[:ROWS][finite[:ROWS]]
        if len(samples) < ROWS // 2:
            raise _not_finite(pairs, z[:ROWS], None if c is None else c[:ROWS])
        x = torch.where(finite[:, None], x, z)
        x[2 * ROWS :] = samples.mean(0) + 3 * samples.std(0) * normal(source.dim)[2 * ROWS :]
        _prove_layers(pairs, x, c)
        far = 10 ** torch.linspace(0, FAR, len(x), dtype=torch.float64)[:, None]
        _prove_far(
            pairs, samples.mean(0) + far * samples.std(0) * z, None if c is None else far * c
        )
        _prove_whole(source, pairs, flow, x, z, c)


def _not_finite(pairs: Sequence[_Pair], z: Tensor, c: Context) -> Exception:
    """The refusal that names the first layer, from latent to data, with values out of range."""
    for pair in reversed(pairs):
        z = pair.source_inverse(z, c)
        lost = int((~(_largest(z) < LARGEST)).sum())
        if lost > ROWS // 2:
            return refusal(
                pair.path,
                f"its outputs are NaN, infinite or above {LARGEST:g} for {lost} of {ROWS} samples "
                "(it is the first such layer from latent to data); there is nothing to convert",
            )
    raise AssertionError("every layer's outputs are finite")


def _prove_layers(pairs: Sequence[_Pair], x: Tensor, c: Context) -> None:
    """Check each layer alone, on the input that the source passes to it."""
    for pair in pairs:
        z, log_det = pair.source_forward(x, c)
        back = pair.source_inverse(z, c)
        change = _change(lambda p: pair.source_forward(p(x), c), (z, log_det))  # noqa: B023
        change_back = _change(lambda p: (pair.source_inverse(p(z), c),), (back,))  # noqa: B023
        _require_equal(pair.path, ("z", "log_det"), pair.forward(x, c), (z, log_det), change)
        _require_equal(pair.path, ("inverse",), (pair.inverse(z, c),), (back,), change_back)
        x = z


def _prove_far(pairs: Sequence[_Pair], x: Tensor, c: Context) -> None:
    """Check each layer alone on the rows ``x``, those that it accepts and keeps below LARGEST."""
    for pair in pairs:
        try:
            z, _ = expected = pair.source_forward(x, c)
            change = _change(lambda p: pair.source_forward(p(x), c), expected)  # noqa: B023
        except ConversionError:
            return  # it checks its rows itself
        errors = _difference(pair.forward(x, c), expected)
        for name, size, error, unsure, more in zip(
            ("z", "log_det"), map(_largest, expected), errors, change, (0, x.shape[1]), strict=True
        ):
            allowed = FAR_TOLERANCE * (1 + size) + ROUNDING * unsure + more
            wrong = (size < LARGEST) & (allowed < 1 + size + more) & ~(error <= allowed)
            if bool(wrong.any()):
                farthest = float(_largest(x[wrong]).min())
                raise refusal(
                    pair.path,
                    f"the {name} of its conversion differs by "
                    f"{float(error[wrong].nan_to_num(torch.inf).max()):.2g} on rows of numbers of "
                    f"{farthest:.2g} and more; the model is not converted",
                )
        kept = _largest(z) < LARGEST
        if not bool(kept.any()):
            return
        x, c = z[kept], None if c is None else c[kept]


def _prove_whole(
    source: SourceFlow, pairs: Sequence[_Pair], flow: RNVP, x: Tensor, z: Tensor, c: Context
) -> None:
    def forward(perturb: Perturb) -> Rows:
        latent, log_det = _source_forward(pairs, x, c, perturb)
        return latent, flow.log_base(latent) + log_det

    def inverse(perturb: Perturb) -> Rows:
        return (_source_inverse(pairs, z, c, perturb),)

    expected, back = forward(_unchanged), inverse(_unchanged)
    with refusing("", f"its log_prob fails on rows of {x.shape[1]} numbers"):
        log_prob = source.log_prob(x.clone(), c)
    latent, log_pz, log_det = flow(x, c)
    _require_equal(
        "",
        ("z", "log_prob"),
        (latent, log_pz + log_det),
        (expected[0], log_prob),
        _change(forward, expected),
        _WHOLE,
    )
    _require_equal("", ("inverse",), (flow.inverse(z, c),), back, _change(inverse, back), _WHOLE)


def _require_equal(
    path: str, names: Sequence[str], converted: Rows, source: Rows, change: Rows, remark: str = ""
) -> None:
    """Refuse unless the conversion equals the source to rounding.

    Rows are skipped where the source is NaN or infinite, or where rounding alone could have made
    its value.
    """
    errors = _difference(converted, source)
    for name, expected, error, unsure in zip(names, source, errors, change, strict=True):
        size = _largest(expected)
        allowed = TOLERANCE * (1 + size) + ROUNDING * unsure
        compared = (size < LARGEST) & (allowed < 1 + size)
        if int(compared.sum()) < ROWS // 2:
            raise refusal(
                path,
                f"its {name} is NaN, infinite or determined by rounding alone for all but "
                f"{int(compared.sum())} of {len(compared)} rows",
            )
        wrong = compared & ~(error <= allowed)
        if bool(wrong.any()):
            raise refusal(
                path,
                f"the {name} of its conversion differs by "
                f"{float(error[wrong].nan_to_num(torch.inf).max()):.2g}, which is more than "
                f"rounding; the model is not converted{remark}",
            )


_WHOLE = (
    " (each transform agrees: it does something besides its transforms and its base distribution)"
)


def _difference(a: Rows, b: Rows) -> Rows:
    return tuple(_largest(one - other) for one, other in zip(a, b, strict=True))


def _largest(values: Tensor) -> Tensor:
    """The largest magnitude in each row: (n,)."""
    return values.abs() if values.dim() == 1 else values.abs().amax(1)


def _unchanged(x: Tensor) -> Tensor:
    return x


def _change(function: Callable[[Perturb], Rows], unperturbed: Rows) -> Rows:
    """The largest change of each row of ``function`` when its inputs change in their last bits."""
    worst = tuple(torch.zeros(len(rows), dtype=torch.float64) for rows in unperturbed)
    for seed in range(PERTURBATIONS):
        generator = torch.Generator().manual_seed(seed)

        def perturb(x: Tensor, generator: torch.Generator = generator) -> Tensor:
            ups = torch.rand(x.shape, generator=generator, dtype=torch.float64) - 0.5
            return x * (1 + ups * 2.0**-49)

        worst = tuple(map(torch.maximum, worst, _difference(function(perturb), unperturbed)))
    return worst


def _source_forward(
    pairs: Sequence[_Pair], x: Tensor, c: Context, perturb: Perturb
) -> tuple[Tensor, Tensor]:
    total = x.new_zeros(len(x))
    for pair in pairs:
        x, log_det = pair.source_forward(perturb(x), c)
        total = total + log_det
    return x, total


def _source_inverse(
    pairs: Sequence[_Pair], z: Tensor, c: Context, perturb: Perturb = _unchanged
) -> Tensor:
    for pair in reversed(pairs):
        z = pair.source_inverse(perturb(z), c)
    return z
