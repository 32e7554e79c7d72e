"""``report.html`` works in Chromium: wide, narrow, light and dark."""

import numpy as np
import pytest
from guises import SURVEY

import rnvp_deploy
from rnvp_deploy import RNVP, RNVPConfig
from rnvp_deploy.training import TrainingOptions
from rnvp_exporters import report
from rnvp_exporters.report import Latency
from rnvp_runtime.bundle.manifest import Manifest

LOOK = (
    """
const page = await newPage(args.options);
try {
  await page.goto(args.url);
"""
    + SURVEY
    + """
  return { ...survey, cut: await page.evaluate(collisions) };
} finally { await page.context().close(); }

function collisions() {
  const overlap = (a, b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return [...document.querySelectorAll(".ticks")].flatMap((ticks) => {
    const labels = [...ticks.children].filter((label) => label.checkVisibility());
    const boxes = labels.map((label) => label.getBoundingClientRect());
    return labels
      .filter((_, i) => boxes.some((box, j) => j < i && overlap(box, boxes[i])))
      .map((label) => label.textContent);
  });
}
"""
)


@pytest.fixture(scope="session")
def reported(root, site) -> str:
    """The report of a conditional flow of four columns after a short training."""
    draw = np.random.default_rng(0)
    context = draw.uniform(100, 200, (400, 1)).astype(np.float32)
    x = (draw.normal(size=(400, 4)) * [1, 1e3, 1e-3, 1]).astype(np.float32) + context
    flow = RNVP(
        RNVPConfig(dim=4, context_dim=1, hidden=(8,), couplings=2),
        ("x", "energy in keV", "a rather long name of a column", "count"),
        ("angle",),
    )
    result = rnvp_deploy.fit(flow, x, context, options=TrainingOptions(epochs=2, held_out=0.5))
    known = Manifest.read(site("conditional") / "model.rnvp")  # the parity of another flow
    times = [Latency("log_prob", 1, 1e-4, 1e-3)]
    html = report.write(known, flow, "m.rnvp", result.record, times)
    (root / "report.html").write_text(html, encoding="utf-8")
    return "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_the_report_is_accessible_in_every_guise(
    driver, server, reported, artefacts, width: int, scheme: str
) -> None:
    """axe reports no fault, no label covers another, and nothing overflows at the side."""
    found = driver.run(
        LOOK,
        url=f"{server}/{reported}",
        path=str(artefacts / f"report-{width}-{scheme}.png"),
        options={"viewport": {"width": width, "height": 900}, "colorScheme": scheme},
    )
    assert found["faults"] == found["complaints"] == found["cut"] == []
    assert found["overflow"] <= 0
