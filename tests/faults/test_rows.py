"""The result of a row does not depend on the other rows."""

from pathlib import Path

import numpy as np
import pytest

import rnvp_runtime

BAD = [np.nan, np.inf, -np.inf, 1e38, -1e38]


@pytest.fixture(scope="module")
def flow() -> rnvp_runtime.Flow:
    """A flow with coupling networks; an affine flow would not reveal a mixing of rows."""
    golden = Path(__file__).parents[1] / "versions" / "golden" / "bundle_version_1.zip"
    return rnvp_runtime.load(golden)


@pytest.mark.parametrize("rows", [10, 3_000, 20_000])
@pytest.mark.parametrize("method", ["log_prob", "forward", "inverse", "log_prob_and_grad"])
def test_bad_rows_do_not_harm_their_neighbours(
    flow: rnvp_runtime.Flow, rows: int, method: str
) -> None:
    """One row in ten holds NaN, infinity or a huge number. The others give the same bits."""
    draw = np.random.default_rng(1)
    x, context = draw.normal(size=(rows, 2)), draw.normal(size=(rows, 2))
    harmed = x.copy()
    at = np.arange(0, rows, 10)
    harmed[at, draw.integers(0, 2, len(at))] = np.resize(BAD, len(at))
    good = np.ones(rows, bool)
    good[at] = False
    for one, other in zip(
        _tuple(getattr(flow, method)(x, context)),
        _tuple(getattr(flow, method)(harmed, context)),
        strict=True,
    ):
        np.testing.assert_array_equal(one[good], other[good])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_bad_row_has_no_density(flow: rnvp_runtime.Flow, value: float) -> None:
    """Its log_prob is NaN or minus infinity, and no exception is raised."""
    found = flow.log_prob([[value, 0.0], [0.0, value]], [[0.0, 0.0], [0.0, 0.0]])
    assert not np.isfinite(found).any()
    assert not (found > 0).any()


def test_a_row_is_the_same_in_a_batch_of_any_size(flow: rnvp_runtime.Flow) -> None:
    """Results may differ by rounding, since an engine may sum in another order."""
    draw = np.random.default_rng(2)
    context = draw.normal(size=(5_000, 2))
    x = flow.sample(5_000, seed=2, context=context)
    whole = flow.log_prob(x, context)
    for rows in (slice(0, 1), slice(100, 117), slice(4_000, 5_000)):
        found = flow.log_prob(x[rows], context[rows])
        np.testing.assert_allclose(found, whole[rows], rtol=1e-4, atol=1e-3)


def _tuple(result: object) -> tuple[np.ndarray, ...]:
    return result if isinstance(result, tuple) else (result,)
