"""Whether a conversion computes what its source does: asked of every one, in float64.

z, log-density and inverse are compared on rows drawn from the source itself, on its tails and off
its data; then each transform alone, so that a refusal can name the first that differs. Two right
implementations still differ by rounding, which a steep flow amplifies; how much is measured, by
moving what enters each of the source's own layers in its last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rnvp_deploy.conversion.precision import exactly
from rnvp_deploy.conversion.refusal import refusal
from rnvp_deploy.transforms import Transform

if TYPE_CHECKING:
    from rnvp_deploy.conversion.source import Piece, Source
    from rnvp_deploy.flow import RNVP

__all__ = ["prove"]

TOLERANCE = 1e-10
"""How far ours may differ, relative to a row's largest number, beside what rounding explains."""

ROUNDING = 1000.0
"""How many times the most that the source moves by when its layers' inputs move by a few ulps.

Rounding inside a layer counts too, so this is generous; where a flow is not steep, it moves by
some 1e-15 and TOLERANCE decides.
"""

NUDGES = 4

ROWS = 256
LARGEST = 1e30  # of the numbers in a row that is compared; beyond, sums overflow by their order

Rows = tuple[Tensor, ...]  # each (n, d) or (n,)
Nudge = Callable[[Tensor], Tensor]


def prove(source: Source, flow: RNVP) -> None:
    """Refuse ``flow``, a conversion of ``source`` in float64, unless it computes the same."""
    generator = torch.Generator().manual_seed(0)

    def normal(columns: int) -> Tensor:
        return torch.randn(3 * ROWS, columns, generator=generator, dtype=torch.float64)

    c = normal(source.context_dim) if source.context_dim else None
    z = normal(source.dim)
    z[ROWS : 2 * ROWS] *= 4.0
    with exactly():
        x = _theirs_back(source.pieces, z, c)
        sane = _by_row(x) < LARGEST
        known = x[:ROWS][sane[:ROWS]]
        if len(known) < ROWS // 2:
            raise refusal(
                "", "most of its samples are NaN or infinite; there is nothing to convert"
            )
        x = torch.where(sane[:, None], x, z)
        x[2 * ROWS :] = known.mean(0) + 3 * known.std(0) * normal(source.dim)[2 * ROWS :]
        _prove_pieces(source.pieces, x, c)
        _prove_whole(source, flow, x, z, c)


def _prove_pieces(pieces: Sequence[Piece], x: Tensor, c: Tensor | None) -> None:
    """Each layer alone, given what theirs passes on to it."""
    for piece in pieces:
        z, log_det = piece.forward(x, c)
        back = _inverse(piece, z, c)
        wobble = _wobble(lambda nudge: piece.forward(nudge(x), c), (z, log_det))  # noqa: B023
        wobble_back = _wobble(lambda nudge: (_inverse(piece, nudge(z), c),), (back,))  # noqa: B023
        _agree(piece.path, ("z", "log_det"), _ours(piece.ours, x, c), (z, log_det), wobble)
        _agree(piece.path, ("inverse",), (_ours_back(piece.ours, z, c),), (back,), wobble_back)
        x = z


def _prove_whole(source: Source, flow: RNVP, x: Tensor, z: Tensor, c: Tensor | None) -> None:
    def forward(nudge: Nudge) -> Rows:
        latent, log_det = _theirs(source.pieces, x, c, nudge)
        return latent, flow.log_base(latent) + log_det

    def backward(nudge: Nudge) -> Rows:
        return (_theirs_back(source.pieces, z, c, nudge),)

    theirs, back = forward(_as_it_is), backward(_as_it_is)
    ours_z, ours_log_pz, ours_log_det = flow(x, c)
    ours = (ours_z, ours_log_pz + ours_log_det)
    known = (theirs[0], source.log_prob(x, c))
    _agree("", ("z", "log_prob"), ours, known, _wobble(forward, theirs))
    _agree("", ("inverse",), (flow.inverse(z, c),), back, _wobble(backward, back))


def _agree(path: str, names: Sequence[str], ours: Rows, theirs: Rows, wobble: Rows) -> None:
    """Refuse unless ours is theirs to rounding, on every row where theirs means anything.

    It means nothing where it is NaN or infinite, or where rounding alone could have made it.
    """
    errors = _difference(ours, theirs)
    for name, known, error, unsure in zip(names, theirs, errors, wobble, strict=True):
        size = _by_row(known)
        allowed = TOLERANCE * (1 + size) + ROUNDING * unsure
        compared = (size < LARGEST) & (allowed < 1 + size)
        if int(compared.sum()) < ROWS // 2:
            raise refusal(path, f"its {name} is NaN, infinite or mere rounding nearly everywhere")
        strayed = compared & ~(error <= allowed)
        if bool(strayed.any()):
            raise refusal(
                path,
                f"the {name} of its conversion differs by "
                f"{float(error[strayed].nan_to_num(torch.inf).max()):.2g}, which is more than "
                f"rounding; the model is not converted{'' if path else _WHOLE}",
            )


_WHOLE = (
    " (each transform agrees: it does something besides its transforms and its base distribution)"
)


def _difference(ours: Rows, theirs: Rows) -> Rows:
    return tuple(_by_row(a - b) for a, b in zip(ours, theirs, strict=True))


def _by_row(values: Tensor) -> Tensor:
    return values.abs() if values.dim() == 1 else values.abs().amax(1)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _wobble(function: Callable[[Nudge], Rows], still: Rows) -> Rows:
    """How far the rows of ``function`` move, at most, when its inputs move in their last bits."""
    worst = tuple(torch.zeros(len(rows), dtype=torch.float64) for rows in still)
    for seed in range(NUDGES):
        generator = torch.Generator().manual_seed(seed)

        def nudge(x: Tensor, generator: torch.Generator = generator) -> Tensor:
            ups = torch.rand(x.shape, generator=generator, dtype=torch.float64) - 0.5
            return x * (1 + ups * 2.0**-49)

        worst = tuple(map(torch.maximum, worst, _difference(function(nudge), still)))
    return worst


def _theirs(
    pieces: Sequence[Piece], x: Tensor, c: Tensor | None, nudge: Nudge
) -> tuple[Tensor, Tensor]:
    total = x.new_zeros(len(x))
    for piece in pieces:
        x, log_det = piece.forward(nudge(x), c)
        total = total + log_det
    return x, total


def _theirs_back(
    pieces: Sequence[Piece],
    z: Tensor,
    c: Tensor | None,
    nudge: Nudge = _as_it_is,
) -> Tensor:
    for piece in reversed(pieces):
        z = _inverse(piece, nudge(z), c)
    return z


def _inverse(piece: Piece, z: Tensor, c: Tensor | None) -> Tensor:
    """Theirs; or ours, if theirs cannot run and ours undoes their forward.

    Some layers call what torch has removed since (``torch.solve`` in nflows' NaiveLinear).
    """
    try:
        return piece.inverse(z, c)
    except Exception:
        x = _ours_back(piece.ours, z, c)
        back, _ = piece.forward(x, c)
        _agree(piece.path, ("inverse",), (back,), (z,), (0 * _by_row(z),))
        return x


def _ours(transforms: Sequence[Transform], x: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
    total = x.new_zeros(len(x))
    for transform in transforms:
        x, log_det = transform(x, c)
        total = total + log_det
    return x, total


def _ours_back(transforms: Sequence[Transform], z: Tensor, c: Tensor | None) -> Tensor:
    for transform in reversed(transforms):
        z = transform.inverse(z, c)
    return z
