"""The meaning of "the same floats": they agree within the errors that the manifest publishes."""

from typing import Any

import numpy as np

import rnvp_runtime

__all__ = ["agree"]

WORST = 8.0  # an export allows the worst row this factor times the error of eager


def agree(flow: rnvp_runtime.Flow, graph: str, output: str, found: Any, expected: Any) -> None:
    """Assert that ``found`` is within the manifest's errors.

    The error of 99 % of rows must be within the tolerance. The worst row has a larger limit. The
    tolerance is 1.5 times eager's 99th percentile on the rows of the test vectors, on which eager
    is accurate. Of other rows, one in a hundred may exceed it.
    """
    parity = flow.manifest.parity_of(graph, output)
    error = np.abs(found.astype(np.float64) - expected) / np.array(parity.scale)
    rows = error.reshape(len(error), -1).max(axis=1)
    close = np.quantile(rows, 0.99, method="inverted_cdf") / parity.tolerance
    worst = rows.max() / max(WORST * parity.eager.worst, parity.tolerance)
    print(f"{graph} {output}: at p99 {close:.2g} of the tolerance, at worst {worst:.2g}")
    assert close <= 1, f"{graph} {output}: {close:.3g} times the tolerance at the 99th percentile"
    assert worst <= 1, f"{graph} {output}: {worst:.3g} times the allowed error of the worst row"
