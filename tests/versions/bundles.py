"""Bundles of three flows and what the eager float64 flows give, for another environment to read.

    python -m tests.versions.bundles FOLDER

NAME.rnvp is a bundle; NAME.npz holds x, context, the log_prob of x, and the samples of seed 7.
The runtime's tests need no PyTorch, so that this module imports it only to write.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["KINDS", "ROWS", "SEED", "write"]

KINDS: dict[str, dict[str, Any]] = {
    "unconditional": {"dim": 2},
    "conditional": {"dim": 3, "context_dim": 2},
    "double": {"dim": 4, "dtype": "float64"},
}
ROWS, SEED = 2000, 7


def write(folder: Path) -> None:
    """Write each kind's bundle and arrays into a folder."""
    import rnvp_exporters
    from rnvp_deploy import RNVPConfig
    from tests.flows import NEAR_1, lively, some_context, some_data

    for name, kind in KINDS.items():
        config = RNVPConfig(dim=kind["dim"], context_dim=kind.get("context_dim", 0), couplings=4)
        flow = lively(config, spread=0.04, units=NEAR_1)
        x, context = some_data(flow, ROWS, NEAR_1), some_context(flow, ROWS, NEAR_1)
        samples = flow.sample(ROWS, seed=SEED, context=context)
        arrays = {"x": x, "log_prob": flow.log_prob(x, context), "samples": samples}
        if context is not None:
            arrays["context"] = context
        content: dict[str, Any] = {key: value.numpy() for key, value in arrays.items()}
        np.savez(folder / f"{name}.npz", **content)
        options = {"dtype": kind.get("dtype", "float32"), "formats": ("onnx",), "force": True}
        rnvp_exporters.export(flow, folder / f"{name}.rnvp", **options)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    write(target)
