"""log_prob_and_grad gives the derivatives of log_prob with respect to data and context."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnvp_runtime
from rnvp_runtime import BundleError
from rnvp_runtime.bundle.verification import verify

Make = Callable[..., Path]
X = np.array([[0.5, -1.0], [2.0, 3.0], [-4.0, 1.5]])


def test_the_gradient_is_that_of_log_prob(make_bundle: Make, affine: Any) -> None:
    """The shapes are (n,) and (n, dim), and the dtype is that of the bundle."""
    log_prob, grad = rnvp_runtime.load(make_bundle(gradient=True)).log_prob_and_grad(X)
    assert (log_prob.shape, grad.shape, grad.dtype) == ((3,), (3, 2), np.float32)
    np.testing.assert_allclose(log_prob, affine().log_prob(X), rtol=1e-5)
    np.testing.assert_allclose(grad, affine().gradients(X)[0], rtol=1e-5)


def test_a_conditional_flow_gives_the_gradient_by_its_context_too(
    make_bundle: Make, affine: Any
) -> None:
    """The third array has shape (n, context_dim)."""
    flow = rnvp_runtime.load(make_bundle(context_dim=1, gradient=True))
    context = np.array([[1.0], [0.0], [-2.0]])
    _, by_x, by_context = flow.log_prob_and_grad(X, context)
    expected = affine(context_dim=1).gradients(X, context)
    np.testing.assert_allclose(by_x, expected[0], rtol=1e-5)
    np.testing.assert_allclose(by_context, expected[1], rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_many_rows_in_tiles_are_the_same_rows(make_bundle: Make, threads: int) -> None:
    """Row i does not depend on the rows beside it."""
    flow = rnvp_runtime.load(make_bundle(context_dim=3, gradient=True), threads=threads)
    draw = np.random.default_rng(0)
    x, context = draw.normal(size=(1000, 2)), draw.normal(size=(1000, 3))
    whole = flow.log_prob_and_grad(x, context)
    parts = [flow.log_prob_and_grad(x[i : i + 7], context[i : i + 7]) for i in (0, 253, 993)]
    for i, part in zip((0, 253, 993), parts, strict=True):
        for one, other in zip(part, whole, strict=True):
            np.testing.assert_allclose(one, other[i : i + 7], rtol=1e-5)


def test_no_rows_give_no_rows(make_bundle: Make) -> None:
    """An empty batch gives empty arrays."""
    log_prob, grad = rnvp_runtime.load(make_bundle(gradient=True)).log_prob_and_grad(X[:0])
    assert (log_prob.shape, grad.shape) == ((0,), (0, 2))


def test_an_older_bundle_loads_and_says_that_it_has_no_gradient(bundle: Path) -> None:
    """The three graphs of the bundle work, and the error names them."""
    flow = rnvp_runtime.load(bundle)
    assert flow.log_prob(X).shape == (3,)
    with pytest.raises(BundleError, match=r"has no gradient graph, only density, inverse, sampler"):
        flow.log_prob_and_grad(X)


def test_the_gradient_is_verified(make_bundle: Make) -> None:
    """rnvp-verify runs the test vectors of the gradient graph."""
    checks = {check.name: check.passed for check in verify(make_bundle(gradient=True))}
    assert checks["gradient grad_x"]
    assert checks["gradient log_prob"]


def test_a_manifest_without_a_reference_is_read(make_bundle: Make) -> None:
    """Older versions of rnvp-deploy did not write the key."""
    path = make_bundle(gradient=True)
    found = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    del found["reference"]
    (path / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    assert rnvp_runtime.load(path).manifest.reference is None


def test_a_reference_without_context_columns_is_read(make_bundle: Make) -> None:
    """Older versions of rnvp-deploy did not write the key."""
    path = make_bundle(gradient=True, context_dim=1)
    found = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    del found["reference"]["context_columns"]
    (path / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    reference = rnvp_runtime.load(path).manifest.reference
    assert reference is not None
    assert reference.context_columns == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"levels": [0, 1]}, "reference.levels and reference.log_prob should be equally long"),
        ({"log_prob": [0, -1, -2, -3, -4, -5, -6]}, "reference.log_prob should increase"),
        ({"columns": []}, "reference.columns should hold dim columns"),
        (
            {"context_columns": [{"low": 0, "median": 1, "high": 2, "deviation": 1}]},
            "reference.context_columns should hold context_dim columns or none",
        ),
        ({"rows": 0}, "reference.rows should be 1 to"),
        ({"source": 3}, "reference.source should be text, found 3"),
    ],
)
def test_a_contradictory_reference_is_refused(make_bundle: Make, change: Any, said: str) -> None:
    """The error names the key."""
    path = make_bundle(gradient=True)
    found = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    found["reference"].update(change)
    (path / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(BundleError, match=said):
        rnvp_runtime.load(path)
