"""The commands to run next, shown after an export or an inspection."""

import shlex
from os import PathLike, fspath

from rnvp_runtime.bundle.manifest import Manifest

__all__ = ["next_commands"]


def next_commands(manifest: Manifest, path: str | PathLike[str]) -> list[str]:
    """Command lines for the bundle at ``path``, quoted for a shell."""
    bundle = shlex.quote(fspath(path))
    context = " --context " + ",".join("0" * manifest.context_dim) if manifest.context_dim else ""
    return [
        f"rnvp-verify {bundle}",
        f"rnvp-sample {bundle} -n 1000 --seed 7{context} -o samples.csv",
        f"rnvp-score {bundle} table.csv -o scored.csv",
    ]
