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
"""How many times the source's own sensitivity, to its layers' inputs moving by a few ulps.

Rounding inside a layer counts too, so this is generous; where the flow is not steep, that
sensitivity is near 1e-15 and TOLERANCE decides.
"""

ROWS = 256
LARGEST = 1e30  # of the numbers in a row that is compared; beyond, sums overflow by their order

Rows = tuple[Tensor, ...]  # each (n, d) or (n,)


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
        wobble = _difference(piece.forward(_nudged(x), c), (z, log_det))
        back = _inverse(piece, z, c)
        wobble_back = _difference((_inverse(piece, _nudged(z), c),), (back,))
        _agree(piece.path, ("z", "log_det"), _ours(piece.ours, x, c), (z, log_det), wobble)
        _agree(piece.path, ("inverse",), (_ours_back(piece.ours, z, c),), (back,), wobble_back)
        x = z


def _prove_whole(source: Source, flow: RNVP, x: Tensor, z: Tensor, c: Tensor | None) -> None:
    def theirs(nudge: Callable[[Tensor], Tensor] = lambda x: x) -> tuple[Tensor, Tensor]:
        latent, log_det = _theirs(source.pieces, x, c, nudge)
        return latent, flow.log_base(latent) + log_det

    ours_z, ours_log_pz, ours_log_det = flow(x, c)
    ours = (ours_z, ours_log_pz + ours_log_det)
    wobble = _difference(theirs(_nudged), theirs())
    _agree("", ("z", "log_prob"), ours, (theirs()[0], source.log_prob(x, c)), wobble)
    back = _theirs_back(source.pieces, z, c)
    wobble = _difference((_theirs_back(source.pieces, z, c, _nudged),), (back,))
    _agree("", ("inverse",), (flow.inverse(z, c),), (back,), wobble)


def _agree(path: str, names: Sequence[str], ours: Rows, theirs: Rows, wobble: Rows) -> None:
    """Refuse unless ours is theirs to rounding, on every row where theirs means anything.

    It means nothing where it is NaN or infinite, or where rounding alone could have made it.
    """
    errors = _difference(ours, theirs)
    for name, known, error, unsure in zip(names, theirs, errors, wobble, strict=True):
        size = _by_row(known)
        allowed = TOLERANCE * (1 + size) + ROUNDING * unsure
        compared = (size < LARGEST) & (allowed < 1 + size)
        if int(compared.sum()) < len(size) // 2:
            raise refusal(path, f"its {name} is NaN, infinite or mere rounding on most rows")
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


def _nudged(x: Tensor) -> Tensor:
    """x, moved in its last bits: every other number up, the rest down."""
    checkerboard = (torch.arange(x.shape[0])[:, None] + torch.arange(x.shape[1])) % 2
    return x * (1 + (2.0 * checkerboard - 1) * 2.0**-50)


def _theirs(
    pieces: Sequence[Piece], x: Tensor, c: Tensor | None, nudge: Callable[[Tensor], Tensor]
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
    nudge: Callable[[Tensor], Tensor] = lambda z: z,
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
