"""Flows as scikit-learn estimators."""

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import rnvp_runtime
from rnvp_runtime import InputError

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

from rnvp_runtime.sklearn import FlowDensity, FlowOutlierDetector

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="fit without a bundle trains"
)
TINY: dict[str, Any] = {"epochs": 2, "couplings": 2, "hidden": (8,)}


@pytest.fixture
def known(make_bundle: Any) -> Path:
    """A bundle with reference rows."""
    path: Path = make_bundle(gradient=True)
    return path


@pytest.fixture
def x(known: Path) -> Any:
    """Samples of the flow."""
    return np.asarray(rnvp_runtime.load(known).sample(200, seed=1), dtype=np.float64)


def test_a_bundle_is_a_density_without_fit(known: Path, x: Any) -> None:
    """score_samples is log_prob, score is its mean and sample draws the sample stream."""
    density = FlowDensity.from_bundle(known)
    flow = rnvp_runtime.load(known)
    np.testing.assert_array_equal(density.score_samples(x), flow.log_prob(x))
    assert density.score(x) == pytest.approx(flow.log_prob(x).mean())
    np.testing.assert_array_equal(density.sample(5, random_state=7), flow.sample(5, seed=7))
    assert density.n_features_in_ == 2


def test_the_threshold_is_that_of_the_reference_rows(known: Path, x: Any) -> None:
    """A row is an outlier if its log_prob is below the reference quantile."""
    detector = FlowOutlierDetector.from_bundle(known, contamination=0.1)
    reference = rnvp_runtime.load(known).manifest.reference
    assert reference is not None
    assert detector.offset_ == pytest.approx(reference.log_prob[reference.levels.index(0.1)])
    rows = np.vstack([x, x[:1] + 1e3])
    score = detector.score_samples(rows)
    np.testing.assert_array_equal(detector.decision_function(rows), score - detector.offset_)
    assert detector.predict(rows).tolist() == np.where(score < detector.offset_, -1, 1).tolist()
    assert detector.predict(rows)[-1] == -1


def test_fit_with_a_bundle_sets_the_threshold_from_the_rows(known: Path, x: Any) -> None:
    """No flow is trained, and a tenth of the rows are outliers."""
    detector = FlowOutlierDetector(known, contamination=0.1).fit(x)
    assert (detector.predict(x) == -1).mean() == pytest.approx(0.1)
    assert (FlowOutlierDetector(known, contamination=0.1).fit_predict(x) == -1).sum() == 20


def test_it_can_be_cloned_pickled_and_put_into_a_pipeline(known: Path, x: Any) -> None:
    """The detector supports what scikit-learn expects of an estimator."""
    detector = FlowOutlierDetector(str(known), contamination=0.2).fit(x)
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.predict(x), detector.predict(x))
    np.testing.assert_array_equal(clone(detector).fit(x).predict(x), detector.predict(x))
    pipeline = make_pipeline(FunctionTransformer(), clone(detector)).fit(x)
    np.testing.assert_array_equal(pipeline.predict(x), detector.predict(x))


def test_data_frames_are_held_to_their_names(known: Path, x: Any) -> None:
    """The bundle's names may have any order. A fitted frame fixes the order, as in scikit-learn."""
    frame = pd.DataFrame(x, columns=["x0", "x1"])
    density = FlowDensity.from_bundle(known)
    for columns in (["x0", "x1"], ["x1", "x0"]):
        found = density.score_samples(frame[columns])
        np.testing.assert_array_equal(found, density.score_samples(x))
    with pytest.raises(ValueError, match="feature names should match"):
        FlowDensity(known).fit(frame).score_samples(frame[["x1", "x0"]])


def test_what_does_not_fit_is_a_value_error(known: Path, conditional_bundle: Path, x: Any) -> None:
    """A wrong width, a conditional flow, a wrong contamination and a missing fit are refused."""
    with pytest.raises(ValueError, match="X has 1 columns, the flow has 2"):
        FlowDensity(known).fit(x[:, :1])
    with pytest.raises(InputError, match="is conditional on c0"):
        FlowDensity.from_bundle(conditional_bundle)
    for share in (0, 0.6, "auto"):
        with pytest.raises(InputError, match="contamination is"):
            FlowOutlierDetector.from_bundle(known, contamination=share)
    with pytest.raises(NotFittedError):
        FlowDensity(known).score_samples(x)
    with pytest.raises(InputError, match="no flow was trained"):
        FlowDensity.from_bundle(known).save("model.pt")


@needs_torch
@pytest.mark.slow
def test_fit_trains_a_flow_that_can_be_saved(tmp_path: Path) -> None:
    """The same seed gives the same scores; the checkpoint has the frame's column names."""
    import rnvp_deploy

    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal([5, -3], [2, 0.1], (400, 2)), columns=["a", "b"])
    fitted = [FlowDensity(**TINY, random_state=3).fit(frame) for _ in range(2)]
    scores = [density.score_samples(frame) for density in fitted]
    np.testing.assert_array_equal(*scores)
    assert -4 < fitted[0].score(frame) < 1  # log_prob of the true density: -1.2 nats
    fitted[0].save(tmp_path / "model.pt")
    assert rnvp_deploy.load(tmp_path / "model.pt").columns == ("a", "b")


@needs_torch
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the checks fit rows that the training warns about
@pytest.mark.parametrize("kind", [FlowDensity, FlowOutlierDetector])
def test_it_passes_the_checks_of_scikit_learn(kind: Any) -> None:
    """The installed version of scikit-learn runs all of its checks."""
    check_estimator(kind(**TINY), on_skip=None)
