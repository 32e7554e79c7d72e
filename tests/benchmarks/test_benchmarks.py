"""The benchmarks run and count correctly. No test depends on speed."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_a_ratio_is_formed_within_a_round() -> None:
    """A round that is slow for all contestants does not change the ratio."""
    racing = importlib.import_module("benchmarks.racing")
    found = racing.ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0])
    assert (found.median, found.low, found.high) == (2.0, 2.0, 2.0)


def test_each_contestant_has_a_turn_in_each_round() -> None:
    """Each contestant is called, and has one time for each round."""
    racing = importlib.import_module("benchmarks.racing")
    calls: list[str] = []
    contestants = {name: racing.Calls(lambda name=name: calls.append(name)) for name in "ab"}
    seconds = racing.race(contestants, racing.Pace(rounds=4, turn=1e-5))
    assert {name: len(turns) for name, turns in seconds.items()} == {"a": 4, "b": 4}
    assert set(calls) == {"a", "b"}


def test_the_floor_multiplies_what_the_flow_does() -> None:
    """d 43 has halves of 21 and 22, and each coupling has two networks of three layers."""
    floor = importlib.import_module("benchmarks.floor")
    flows = importlib.import_module("benchmarks.flows")
    even, odd = 21 * 100 + 100 * 100 + 100 * 22, 22 * 100 + 100 * 100 + 100 * 21
    assert floor.flops(flows.FLOWS["d43"]) == 2 * 2 * 5 * (even + odd)


def test_the_source_is_the_same_function() -> None:
    """The eager form shares its weights with the flow, so that times can be compared."""
    torch = pytest.importorskip("torch")
    flows = importlib.import_module("benchmarks.flows")
    source = importlib.import_module("benchmarks.source")
    for size in flows.FLOWS.values():
        flow = flows.make(size)
        x = torch.from_numpy(flows.data(size, 64))
        eager = source.StackedNVP(flow)
        found = source.Density(eager)(x).numpy()
        np.testing.assert_allclose(found, flow.log_prob(x).numpy(), rtol=1e-4, atol=1e-3)
        z, _, _ = eager(x)
        np.testing.assert_allclose(eager.inverse(z).numpy(), x.numpy(), rtol=1e-3, atol=1e-3)


def test_a_target_is_met_or_not_and_nothing_fails(tmp_path: Path) -> None:
    """--targets prints the table and exits with 0."""
    results = importlib.import_module("benchmarks.results")
    cell = results.Cell(
        "d2", "density", 1, {"eager PyTorch ×1": [10.0, 12.0], "rnvp-deploy ×1": [1.0, 1.0]}
    )
    results.Results({"cores": 2}, cells=[cell]).write(tmp_path / "results.json")
    command = [sys.executable, "-m", "benchmarks", "--targets", "-o", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "| 1 row: eager | d2 | density | ≥ 10.00 | 11.00 (10.20–11.80) | met |" in ran.stdout


@pytest.mark.slow
def test_a_quick_run_writes_a_page_a_picture_and_numbers(tmp_path: Path) -> None:
    """The run measures all competitors on one flow and one row."""
    pytest.importorskip("openvino")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--flows", "d2", "--rows", "1"]
    ran = subprocess.run(
        [*command, "--functions", "density", "-o", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json",
        "results.md",
        "results.png",
    }
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "plain ONNX Runtime" in page
    assert "start to first number" in page
