"""Engines of other projects give a bundle's numbers. ``docs/engines.md`` has the whole table."""

from importlib.util import find_spec

import pytest

from tests.embedding.exported import Bundle
from tests.engines.peers import PEERS
from tests.engines.trial import REFUSED, RIGHT, outcome

MODULES = {"onnx.reference": "onnx", "tract": "tract", "OpenCV": "cv2"}


@pytest.fixture(params=MODULES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine that is small to install."""
    name: str = request.param
    if find_spec(MODULES[name]) is None:
        pytest.skip(f"pip install {PEERS[name].package}")
    return name


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["density", "inverse", "gradient"])
def test_a_float_graph_is_right(float32_bundle: Bundle, engine: str, graph: str) -> None:
    """The engine is right on every test vector. It may lose NaN and infinity."""
    found = outcome(str(float32_bundle.path), graph, engine)
    assert found.word.startswith(RIGHT), found


@pytest.mark.slow
def test_a_sampler_is_right_or_refused(float32_bundle: Bundle, engine: str) -> None:
    """An engine must not give wrong samples without an error."""
    found = outcome(str(float32_bundle.path), "sampler", engine)
    assert found.word == REFUSED or found.word.startswith(RIGHT), found
