"""The commands to run next, shown after an export or an inspection."""

import math
import shlex
from os import PathLike, fspath

from rnvp_runtime.bundle.manifest import ColumnReference, Manifest

__all__ = ["next_commands"]

_STEPS = 200  # of a trained range: digits beyond one of these do not matter


def next_commands(manifest: Manifest, path: str | PathLike[str]) -> list[str]:
    """Command lines for the bundle at ``path``, quoted for a shell."""
    bundle = shlex.quote(fspath(path))
    context = f" --context {_context(manifest)}" if manifest.context_dim else ""
    return [
        f"rnvp-verify {bundle}",
        f"rnvp-sample {bundle} -n 1000 --seed 7{context} -o samples.csv",
        f"rnvp-score {bundle} table.csv -o scored.csv",
    ]


def _context(manifest: Manifest) -> str:
    """The trained median of each context column; 0 where it is not known."""
    reference = manifest.reference
    if reference is None or not reference.context_columns:
        return ",".join("0" * manifest.context_dim)
    return ",".join(_rounded(column) for column in reference.context_columns)


def _rounded(column: ColumnReference) -> str:
    """The median, with as many decimals as matter within the column's range."""
    width = column.high - column.low
    if not 0 < width < math.inf:
        return repr(column.median)
    value = round(column.median, math.ceil(-math.log10(width / _STEPS)))
    return repr(value).removesuffix(".0")
