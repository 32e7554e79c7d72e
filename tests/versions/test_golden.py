"""A bundle of every version of the format, as it was written then, is read by this runtime.

``golden/bundle_version_1.zip`` holds the ONNX graphs of a conditional flow of two columns, exported
on 25 November 2026, and the JSON file beside it the numbers that it gave then. Neither is written
again. A new version of the format adds a file.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime.bundle.manifest import VERSION
from rnvp_runtime.bundle.verification import verify

GOLDEN = Path(__file__).with_name("golden")
each = pytest.mark.parametrize("version", range(1, VERSION + 1))


def bundle(version: int) -> Path:
    """The bundle of one version."""
    return GOLDEN / f"bundle_version_{version}.zip"


@each
def test_it_verifies(version: int) -> None:
    """Hashes, structure and test vectors."""
    assert [check for check in verify(bundle(version)) if not check.passed] == []


@each
def test_it_gives_the_numbers_of_its_day(version: int) -> None:
    """Every method, within float32's rounding, and without a warning."""
    numbers: dict[str, Any] = json.loads((GOLDEN / f"bundle_version_{version}.json").read_text())
    x, context = numbers["x"], numbers["context"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow = rnvp_runtime.load(bundle(version))
        log_prob, grad_x, grad_context = flow.log_prob_and_grad(x, context)
        found = {
            "log_prob": log_prob,
            "grad_x": grad_x,
            "grad_context": grad_context,
            "z": flow.forward(x, context),
            "sample": flow.sample(2, seed=7, context=context),
        }
    for name, values in found.items():
        np.testing.assert_allclose(values, numbers[name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(flow.inverse(found["z"], context), x, rtol=1e-3, atol=1e-3)
