"""The HMC example recovers the moments of a target that is known in closed form."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnvp_runtime

EXAMPLE = Path(__file__).parents[2] / "examples" / "hmc.py"


@pytest.mark.slow
@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_it_recovers_the_moments_of_a_normal(
    make_bundle: Callable[..., Path], affine: Any, beta: float
) -> None:
    """p^β of a normal has the same mean, and its standard deviations are divided by √β."""
    example = runpy.run_path(str(EXAMPLE))
    known, flow = affine(dim=3), rnvp_runtime.load(make_bundle(dim=3, gradient=True))
    target = example["powered"](flow, beta)
    start = np.tile(known.loc, (100, 1)).astype(np.float64)
    draws, accepted = example["hmc"](target, start, known.scale / np.sqrt(beta), draws=250)
    rows = draws[50:].reshape(-1, 3)
    assert accepted > 0.9
    deviation = known.scale / np.sqrt(beta)
    np.testing.assert_allclose((rows.mean(0) - known.loc) / deviation, 0, atol=0.04)
    np.testing.assert_allclose(rows.std(0) / deviation, 1, atol=0.04)
    np.testing.assert_allclose(np.corrcoef(rows.T), np.eye(3), atol=0.05)
