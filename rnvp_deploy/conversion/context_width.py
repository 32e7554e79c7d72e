"""The number of conditions that a model takes, found by running it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from rnvp_deploy.conversion.float64 import in_float64

__all__ = ["context_width"]

MOST = 256
"""The widths that are tried where no layer suggests one that works."""


def context_width(
    run: Callable[[Tensor, Tensor | None], object],
    dim: int,
    suggested: Iterable[int | None],
    otherwise: int = 0,
) -> int:
    """The first c for which ``run(x, context)`` works.

    Args:
        run: takes x (n, d) and a context (n, c), or None for c = 0.
        dim: d.
        suggested: widths to try first, after 0: those that the model's layers were made for.
        otherwise: what to return if the model runs with no width; the function that reads the
            layers then names the one that fails.
    """
    likely = [width for width in suggested if width and width > 0]
    widths: list[int] = [0, *likely, *range(1, MOST + 1)]
    works = (width for width in dict.fromkeys(widths) if _runs(run, dim, width))
    return next(works, otherwise)


def _runs(run: Callable[[Tensor, Tensor | None], object], dim: int, width: int) -> bool:
    rows = torch.zeros(2, dim, dtype=torch.float64)
    context = torch.zeros(2, width, dtype=torch.float64) if width else None
    try:
        with in_float64():
            run(rows, context)
    except Exception:  # the model's own, for a width that it was not made for
        return False
    return True
