"""OpenVINO is right for float graphs, and wrong without an error for the sampler."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from rnvp_runtime import MissingExtraError
from rnvp_runtime.bundle.verification import verify
from rnvp_runtime.commands.verify import verify as rnvp_verify
from rnvp_runtime.engines import ENGINES
from rnvp_runtime.stream import normals
from tests.embedding.exported import Bundle

pytestmark = pytest.mark.slow

SEED, N = 7, 10_000


def excess(bundle: Bundle, found: dict[str, NDArray[Any]]) -> dict[str, float]:
    """The error of each output against ``Flow.sample``, divided by the manifest's tolerance."""
    expected = dict(
        zip(
            ("x", "log_prob"),
            bundle.flow.sample(N, seed=SEED, return_log_prob=True, **bundle.with_context(N)),
            strict=True,
        )
    )
    times = {}
    for name, values in expected.items():
        parity = bundle.flow.manifest.parity_of("sampler", name)
        assert parity is not None
        assert found[name].shape == values.shape
        times[name] = float(
            (np.abs(found[name] - values) / (parity.tolerance * np.array(parity.scale))).max()
        )
    return times


def run(bundle: Bundle, graph: str, outputs: list[str], feeds: dict[str, Any]) -> Any:
    """The outputs of OpenVINO for the bytes of the file."""
    content = (bundle.path / f"{graph}.onnx").read_bytes()
    return ENGINES["openvino"].open(content, outputs)(feeds)


def right_checks(bundle: Bundle) -> list[str]:
    """The checks that OpenVINO passes: all but the sampler's."""
    graphs = {
        name: graph for name, graph in bundle.flow.manifest.graphs.items() if name != "sampler"
    }
    return ["files", *(f"{name} {o.name}" for name, graph in graphs.items() for o in graph.outputs)]


@pytest.fixture(autouse=True)
def openvino() -> None:
    """Skip the tests if OpenVINO is not installed."""
    pytest.importorskip("openvino")


def test_all_but_the_sampler_are_right(float32_bundle: Bundle) -> None:
    """Every finite test vector is within the tolerance of the manifest."""
    checks = [c for c in verify(float32_bundle.path, "openvino") if "sampler" not in c.name]
    assert [c.name for c in checks] == right_checks(float32_bundle)
    assert all(check.passed for check in checks)


def test_noise_made_outside_gives_the_samples(float32_bundle: Bundle) -> None:
    """10,000 samples of the stream through ``inverse.onnx`` are onnxruntime's samples.

    Each may be off by the manifest's tolerance, so they may differ by twice the tolerance.
    """
    z = normals(SEED, 0, N, float32_bundle.flow.dim)
    feeds = {"z": z, **float32_bundle.with_context(N)}
    x, log_prob = run(float32_bundle, "inverse", ["x", "log_prob"], feeds)
    times = excess(float32_bundle, {"x": x, "log_prob": log_prob})
    assert max(times.values()) <= 2, times


def test_the_sampler_is_wrong_without_an_error(float32_bundle: Bundle) -> None:
    """It runs without an error and gives other samples, many of them finite.

    If this fails, OpenVINO computes uint64 now: change the engine, the model card and
    docs/embedding.md.
    """
    feeds: dict[str, Any] = {
        "seed": np.array(SEED, np.int64),
        "start": np.array(0, np.int64),
        "count": np.array(N, np.int64),
        "temperature": np.array(1, np.float32),
        **float32_bundle.with_context(N),
    }
    [x] = run(float32_bundle, "sampler", ["x"], feeds)
    right = float32_bundle.flow.sample(N, seed=SEED, **float32_bundle.with_context(N))
    assert x.shape == right.shape
    assert np.isfinite(x).all(axis=1).any()
    different = ~(np.abs(x - right) < 0.01 * right.std(axis=0))
    assert different.any(axis=1).mean() > 0.99


def test_rnvp_verify_fails_the_sampler(float32_bundle: Bundle) -> None:
    """The exit code is 1, the float graphs pass, and the sampler fails with what to do instead."""
    done = CliRunner().invoke(rnvp_verify, [str(float32_bundle.path), "--engine", "openvino"])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    ticked = sum(line.startswith("✓ ") for line in lines)
    assert ticked == len(right_checks(float32_bundle))
    crossed = [line for line in lines if line.startswith("✗ ")]
    assert crossed
    assert all(line.startswith("✗ sampler") for line in crossed)
    assert all("run inverse.onnx on it" in line for line in crossed)


def test_nan_is_lost_and_the_check_says_that_it_was_not_judged(
    make: Callable[[str], Bundle],
) -> None:
    """One NaN in x makes all of z NaN, but the relu of OpenVINO gives 0 for NaN."""
    bundle = make("unconditional")
    x = np.array([[np.nan, 0]], np.float32)
    [z] = run(bundle, "density", ["z"], {"x": x})
    assert np.isnan(bundle.flow.forward(x)).all()
    assert not np.isnan(z).all()
    density = verify(bundle.path, "openvino")[1]
    assert density.detail.endswith("with NaN or infinity not judged, which it does not keep")


def test_without_openvino_one_line_says_what_to_install(
    make: Callable[[str], Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO is an extra of the package."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r'pip install "rnvp-deploy\[openvino\]"'):
        verify(make("unconditional").path, "openvino")
