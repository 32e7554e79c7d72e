"""What "the same floats" means: within the tolerance that the manifest publishes."""

from typing import Any

import numpy as np

import rnvp_runtime

__all__ = ["agree"]


def agree(flow: rnvp_runtime.Flow, graph: str, output: str, found: Any, expected: Any) -> None:
    """``found`` is within the tolerance that the manifest publishes."""
    parity = flow.manifest.parity_of(graph, output)
    permitted = parity.tolerance * np.array(parity.scale)
    error = np.abs(found.astype(np.float64) - expected) / permitted
    print(f"{graph} {output}: at worst {error.max():.2g} of the tolerance, {permitted.max():.1e}")
    assert error.max() <= 1, f"{error.max():.3g} times the tolerance of {graph} {output}"
