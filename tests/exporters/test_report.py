"""report.html is one page without scripts that says whether a flow is good, and shows why."""

import re
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

import rnvp_deploy
import rnvp_exporters
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.training import TrainingOptions
from rnvp_exporters import report
from rnvp_exporters.bundle.reference import reference
from rnvp_exporters.report.calibration import (
    chi_squared_quantiles,
    condition_bins,
    distance_between,
    distance_from_uniform,
)
from rnvp_exporters.report.charts import round_ticks
from rnvp_exporters.report.contours import contours, level_of_mass, smoothed_density
from rnvp_runtime.bundle.manifest import Manifest
from rnvp_runtime.native import is_available
from rnvp_runtime.terminal.next_commands import next_commands
from tests.flows import CONFIGS, lively


@cache
def exported() -> tuple[Manifest, str]:
    """The manifest and the report of a conditional flow that was trained for an epoch."""
    flow, record = trained(conditional=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        rnvp_deploy.save(flow, folder / "m.pt", training=record)
        written = rnvp_exporters.export(folder / "m.pt", folder / "m.rnvp", formats=("onnx",))
        html = (folder / "m.rnvp" / "report.html").read_text(encoding="utf-8")
    return written, html


def manifest() -> Manifest:
    """A manifest with its parity; the description of its flow contains HTML."""
    written, _ = exported()
    return replace(written, flow=replace(written.flow, description="a <b>flow</b>"))


@cache
def trained(*, conditional: bool = False, name: str = "a") -> tuple[RNVP, dict[str, Any]]:
    """A flow of two columns that was trained for an epoch, and the record of its training."""
    draw = np.random.default_rng(1)
    x = draw.normal(size=(600, 2)).astype(np.float32)
    context = draw.uniform(10, 20, size=(600, 1)).astype(np.float32) if conditional else None
    config = RNVPConfig(dim=2, context_dim=int(conditional), hidden=(8,), couplings=2)
    flow = RNVP(config, (name, "b"), ("energy",) if conditional else None)
    options = TrainingOptions(epochs=1, held_out=0.5)
    result = rnvp_deploy.fit(flow, x, context, options=options)
    return flow.eval(), result.record


def page(flow: RNVP, training: dict[str, Any] | None = None) -> str:
    """The report of a flow, with the parity of another."""
    return report.write(manifest(), flow, "m.rnvp", training)


def text_of(html: str) -> str:
    """The text of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.S))


@pytest.mark.parametrize("name", ["one coordinate, given", "two coordinates", "gated", "wide"])
def test_every_column_of_any_flow_is_drawn(name: str) -> None:
    """Each column has a histogram, for any number of columns and conditions."""
    flow = lively(CONFIGS[name])
    html = page(flow)
    assert all(f'aria-label="Histogram of {column}"' in html for column in flow.columns)
    assert ElementTree.fromstring("<all>" + "".join(re.findall(r"<svg.*?</svg>", html)) + "</all>")


def test_pairs_are_drawn_once_up_to_eight_columns() -> None:
    """A flow with more columns has no plots of pairs, and the report says why."""
    html = page(lively(CONFIGS["odd"]))
    pairs = re.findall(r'aria-label="(\w+) against (\w+)"', html)
    assert len(pairs) == 21
    assert len({frozenset(pair) for pair in pairs}) == 21
    assert "Pairs are drawn for at most 8 columns; this flow has 64." in page(
        lively(CONFIGS["wide"])
    )


def test_a_trained_flow_has_every_section() -> None:
    """The checkpoint alone gives learning curves, data beside samples, PIT and QQ."""
    html = page(*trained())
    for label in ("Loss of 1 epochs", "PIT of z0", "PIT of z1", "QQ of ‖z‖²", "Held-out rows"):
        assert f'aria-label="{label}' in html
    assert 'class="data-area"' in html
    assert "300 held-out rows" in text_of(html)


def test_a_conditional_flow_is_judged_in_bins_of_each_condition() -> None:
    """There are four bins of 75 rows, and samples are drawn at the conditions of the rows."""
    html = page(*trained(conditional=True))
    assert 'aria-label="PIT by bins of energy"' in html
    assert 'aria-label="QQ of ‖z‖² by bins of energy"' in html
    assert html.count("</td><td>energy") == 0
    assert (
        len(re.findall(r"<tr><td>1\d[.\d]* … (?:1\d|20)[.\d]*</td><td class=\"n\">75</td>", html))
        == 4
    )
    assert "given the conditions of the held-out rows" in html


@pytest.mark.parametrize("training", [None, {"summary": None}])
def test_a_missing_section_says_why(training: dict[str, Any] | None) -> None:
    """A converted flow has no held-out rows, so its report has no curves, no PIT and no bins."""
    told = text_of(page(lively(CONFIGS["gated"]), training))
    assert told.count("The checkpoint holds no held-out rows.") == 3
    assert "there are no learning curves" in told
    assert "Whether the flow fits its data is not known here" in told


def test_a_flow_whose_samples_overflow_has_a_report() -> None:
    """Such a flow can be exported with --accept-loss."""
    flow = lively(CONFIGS["odd"])
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.fill_(torch.nan)
    assert "No sample is finite, so nothing is drawn." in text_of(page(flow))


def test_the_verdict_comes_first_and_names_a_flow_that_is_wrong() -> None:
    """Rows that are shifted by three standard deviations fail calibration and samples."""
    flow, record = trained()
    gaussian = record["summary"]["held_out_loss"] + 1  # one epoch is not enough to beat it
    summary = {**record["summary"], "gaussian_loss": gaussian, "notes": []}
    good = text_of(page(flow, {"summary": summary}))
    shifted = {"summary": {**summary, "sample": torch.as_tensor(summary["sample"]) + 3}}
    bad = text_of(page(flow, shifted))
    verdict = re.search(r"Do not rely on this flow before you read:([^.]*)\.", bad)
    assert verdict is not None
    assert "calibration, samples" in verdict[1]
    assert verdict.start() < bad.index("Training")
    assert "Do not rely on this flow" not in good


def test_a_flow_that_is_wrong_at_some_conditions_is_named() -> None:
    """Rows that are shifted at high energies only are found in the bins of the energy."""
    flow, record = trained(conditional=True)
    summary = record["summary"]
    sample, energy = (torch.as_tensor(summary[name]) for name in ("sample", "sample_context"))
    shifted = {**summary, "sample": sample + 3 * (energy > 17.5)}
    told = text_of(page(flow, {"summary": shifted}))
    assert re.search(r"Do not rely on this flow before you read:[^.]* conditions\.", told)
    assert "in a bin of energy" in told


def test_a_flow_that_a_gaussian_beats_is_named() -> None:
    """The held-out loss is compared with that of a Gaussian."""
    flow, record = trained()
    summary = {**record["summary"], "gaussian_loss": record["summary"]["held_out_loss"] - 1}
    told = text_of(page(flow, {"summary": summary}))
    assert "Do not rely on this flow before you read: fit" in told
    assert "a Gaussian with a full covariance is better by 1 nats" in told


def test_text_from_outside_is_escaped_and_nothing_runs() -> None:
    """Column names, warnings and the flow's name are escaped, and the page loads nothing."""
    flow, record = trained(name='"><script>alert(1)</script>')
    summary = {**record["summary"], "warnings": ["<img src=x onerror=alert(2)>"]}
    html = report.write(manifest(), flow, "<b>m</b>.rnvp", {"summary": summary})
    assert "a &lt;b&gt;flow&lt;/b&gt;" in html
    assert not re.search(r"<script|<img|<b>|https?://", html)


def test_every_outputs_parity_has_its_verdict() -> None:
    """The report shows each parity record of the manifest, and the verdict names a failed one."""
    html = page(lively(CONFIGS["two coordinates"]))
    outputs = sum(len(graph.outputs) for graph in manifest().graphs.values())
    assert html.count('<tr class="parity">') == len(manifest().parity)
    assert len(manifest().parity) == outputs * (1 + is_available())
    broken = replace(manifest(), parity=(replace(manifest().parity[0], passed=False),))
    told = text_of(report.write(broken, lively(CONFIGS["two coordinates"]), "m.rnvp"))
    assert "Do not rely on this flow before you read: parity" in told


def test_the_next_commands_are_those_of_the_commands() -> None:
    """The report and rnvp-export print the same lines."""
    for line in next_commands(manifest(), "m.rnvp"):
        assert line in page(lively(CONFIGS["two coordinates"]))


def test_the_exported_report_has_the_time_of_a_call() -> None:
    """The report has the held-out rows and the times; the manifest has the conditions."""
    written, html = exported()
    assert "PIT by bins of energy" in html
    assert len(re.findall(r"<tr><td>(?:log_prob|sample)</td><td class=\"n\">1", html)) == 4
    assert written.reference is not None
    (energy,) = written.reference.context_columns
    assert 10 <= energy.low < energy.median < energy.high <= 20
    assert re.search(r"rnvp-sample m.rnvp -n 1000 --seed 7 --context 1\d[.\d]* -o", html)


def test_a_flow_in_memory_has_no_range_of_conditions() -> None:
    """The range of the conditions comes from the record of a training."""
    assert reference(lively(CONFIGS["given"]), {}) is None


@given(st.integers(1, 60), st.floats(0.001, 0.999))
def test_quantiles_of_chi_squared(degrees: int, level: float) -> None:
    """The quantiles agree with those of scipy."""
    found = chi_squared_quantiles(np.array([level]), degrees)
    np.testing.assert_allclose(found, stats.chi2.ppf(level, degrees), rtol=1e-9, atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.lists(st.floats(0, 1), min_size=1))
def test_distances(u: list[float], v: list[float]) -> None:
    """They follow Kolmogorov and Smirnov: the largest difference at and below any point."""
    one, other = np.array(u), np.array(v)
    uniform = max(max((one <= p).mean() - p, p - (one < p).mean()) for p in one)
    both = max(abs((one <= p).mean() - (other <= p).mean()) for p in [*u, *v])
    assert distance_from_uniform(one) == pytest.approx(uniform, abs=1e-12)
    assert distance_between(one, other) == pytest.approx(both, abs=1e-12)


@given(st.lists(st.integers(0, 9), max_size=200))
def test_bins_of_a_condition_share_no_row_and_no_value(values: list[int]) -> None:
    """Each bin has 20 rows or more, and equal values are in the same bin."""
    bins = condition_bins(np.array(values, float))
    rows = [row for one in bins for row in one.rows.tolist()]
    assert len(rows) == len(set(rows))
    assert all(len(one.rows) >= 20 for one in bins)
    assert all(one.high < other.low for one, other in pairwise(bins))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 8))
def test_ticks_are_few_and_within_the_range(low: float, width: float, most: int) -> None:
    """There are at most as many ticks as fit, so that their labels do not overlap."""
    ticks = round_ticks((low, low + width), most)
    assert len(ticks) <= most
    margin = 1e-6 * (abs(low) + width)
    assert all(low - margin <= tick <= low + width + margin for tick in ticks)


def test_a_contour_encloses_its_region() -> None:
    """The contours of a disc, and of a ring, have the area of the region."""
    y, x = np.mgrid[-3:3:121j, -3:3:121j]
    distance = np.hypot(x, y)
    for grid, area in ((-distance, np.pi), (-abs(distance - 1.5), 2 * np.pi * 1.5)):
        loops = contours(grid, -1.0 if area == np.pi else -0.5)
        areas = [abs(_cross(loop).sum()) / 2 * 0.05**2 for loop in loops]
        found = max(areas) - (sum(areas) - max(areas))
        assert found == pytest.approx(area, rel=0.01)


def _cross(loop: NDArray[np.float64]) -> NDArray[np.float64]:
    following = np.roll(loop, -1, 0)
    return loop[:, 0] * following[:, 1] - loop[:, 1] * following[:, 0]


def test_regions_hold_their_share_of_the_rows() -> None:
    """For a Gaussian, the regions of the smoothed density are close to the exact ones."""
    x, y = np.random.default_rng(0).normal(size=(2, 20_000))
    grid = smoothed_density(x, y, ((-5.0, 5.0), (-5.0, 5.0)), 50)
    inside = (grid > level_of_mass(grid, 0.5)).sum() * 0.2**2
    assert inside == pytest.approx(np.pi * stats.chi2.ppf(0.5, 2), rel=0.1)
