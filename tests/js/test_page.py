"""The page that ``rnvp-export --web`` writes, as a person meets it in Chromium."""

import csv
import io
import re
import shutil

import numpy as np
import pytest
from agreement import agree
from driving import JavaScriptError

import rnvp_runtime

N = 10_000
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 42  # margins of a plot, CSS pixels

VISIT = """
const page = await newPage({ viewport: { width: 1280, height: 900 }, ...args.options });
const drawn = () => page.waitForFunction(() => window.rnvp.done);
const surveyed = () => page.waitForFunction(() => window.rnvp.grid?.side === 128);
const samples = () =>
  page.evaluate(() => packed({ ...window.rnvp.samples, view: window.rnvp.view }));
try {
  await page.goto(args.url);
  if (args.wait ?? true) await drawn();
  return await (async () => {
"""
LEAVE = "\n})(); } finally { await page.context().close(); }"


@pytest.fixture
def visit(driver, server):
    """Runs code on the page of a site, with ``page``, ``drawn``, ``surveyed`` and ``samples``."""

    def run(site, code: str, **args):
        return driver.run(VISIT + code + LEAVE, url=f"{server}/{site.name}/", **args)

    return run


@pytest.mark.parametrize("kind", ["unconditional", "conditional", "wide"])
def test_the_seed_the_button_and_the_sliders_draw_pythons_samples(visit, site, kind: str) -> None:
    flow = rnvp_runtime.load(site(kind) / "model.rnvp")
    context = [0.5, -1.0][: flow.context_dim]
    found = visit(
        site(kind),
        """
        await page.selectOption("#count", "10000");
        for (const [i, value] of args.context.entries()) {
          await page.fill(`#context-${i}`, `${value}`);
        }
        await page.locator("#temperature").fill("0.8");
        await page.fill("#seed", args.seed);
        await page.click("#draw");
        await drawn();
        return { ...await samples(), complaints: page.complaints };
        """,
        seed=str(2**63 + 5),
        context=context,
    )
    assert found["complaints"] == []
    assert (found["seed"], found["shape"]) == (str(2**63 + 5), [N, flow.dim])
    given = {"context": context} if context else {}
    options = {"seed": 2**63 + 5, "temperature": 0.8, "return_log_prob": True, **given}
    x, log_prob = flow.sample(N, **options)
    agree(flow, "sampler", "x", found["data"].reshape(N, -1), x)
    agree(flow, "sampler", "log_prob", found["logProb"], log_prob)


def test_the_canvas_shows_the_samples(visit, site) -> None:
    """There is ink where the samples are, and only there."""
    found = visit(
        site("unconditional"),
        """
        await page.selectOption("#count", "1000");
        await drawn();
        await page.waitForTimeout(100);
        const canvas = await page.evaluate(() => {
          const { width, height } = document.getElementById("cloud");
          const context = document.getElementById("cloud").getContext("2d");
          return packed({ width, height, pixels: context.getImageData(0, 0, width, height).data });
        });
        return { ...await samples(), ...canvas };
        """,
    )
    pixels = found["pixels"].reshape(int(found["height"]), int(found["width"]), 4)
    inner = pixels[TOP + 1 : -BOTTOM - 1, LEFT + 1 : -RIGHT - 1, 3] > 0
    rows, columns = (at - 1 for at in places(found, inner.shape[0] + 2, inner.shape[1] + 2))
    seen = (rows > 2) & (rows < inner.shape[0] - 3) & (columns > 2) & (columns < inner.shape[1] - 3)
    expected = np.zeros_like(inner)
    for down in range(-3, 4):
        for right in range(-3, 4):
            expected[rows[seen] + down, columns[seen] + right] = True
    assert seen.mean() > 0.95
    assert inner[rows[seen], columns[seen]].mean() > 0.95
    assert (inner & ~expected)[4:-4, 4:-4].sum() == 0


def places(found, height: int, width: int):
    """Rows and columns of the pixels of samples in a plot of that size."""
    x = found["data"].reshape(-1, 2)
    (left, right), (bottom, top) = found["view"]
    across = (x[:, 0] - left) / (right - left) * width
    down = (top - x[:, 1]) / (top - bottom) * height
    return np.clip(down, 0, height - 1).astype(int), np.clip(across, 0, width - 1).astype(int)


@pytest.mark.parametrize(("kind", "across", "up"), [("unconditional", 0, 1), ("wide", 5, 40)])
def test_the_heat_map_is_log_density_over_a_slice(visit, site, kind, across: int, up: int) -> None:
    flow = rnvp_runtime.load(site(kind) / "model.rnvp")
    found = visit(
        site(kind),
        """
        if (args.across) {
          await page.selectOption("#across", { index: args.across });
          await page.selectOption("#up", { index: args.up });
        }
        await surveyed();
        return page.evaluate(() => packed({
          ...window.rnvp.grid, view: window.rnvp.view, middle: window.rnvp.middle,
          said: document.getElementById("slice").textContent,
        }));
        """,
        across=across,
        up=up,
    )
    side = found["side"]
    (left, right), (bottom, top) = found["view"]
    rows = np.tile(np.array(found["middle"]), (side * side, 1))
    step = (np.arange(side) + 0.5) / side
    rows[:, across] = np.tile(left + (right - left) * step, side)
    rows[:, up] = np.repeat(top - (top - bottom) * step, side)
    expected = flow.log_prob(rows)
    np.testing.assert_allclose(found["values"], expected, rtol=1e-4, atol=1e-3)
    others = ", the other 41 columns at their medians" if flow.dim > 2 else ""
    assert found["said"].startswith(f"Log-density over x{across} and x{up}{others}:")


def test_pointing_reads_log_prob(visit, site) -> None:
    """From the mouse, and from the keyboard."""
    flow = rnvp_runtime.load(site("unconditional") / "model.rnvp")
    said = visit(
        site("unconditional"),
        """
        const said = [];
        const read = () => page.waitForFunction((last) => {
          const now = document.getElementById("readout").textContent;
          return now !== last && now;
        }, said.at(-1) ?? "").then((handle) => handle.jsonValue());
        await page.hover("#heat", { position: { x: 200, y: 150 } });
        said.push(await read());
        await page.mouse.move(1, 1);
        await page.waitForFunction(() => !document.getElementById("readout").textContent);
        await page.focus("#cloud");
        await page.keyboard.press("ArrowUp");
        said.push(await read());
        await page.keyboard.press("Shift+ArrowLeft");
        said.push(await read());
        return said;
        """,
    )
    for text in said:
        number = r"(−?[\d.]+(?:e.\d+)?)"
        match = re.fullmatch(rf"log p = {number} nats at x0 {number}, x1 {number}", text)
        value, *place = (float(part.replace("−", "-")) for part in match.groups())
        assert value == pytest.approx(flow.log_prob([place])[0], rel=0.02, abs=0.02)
    assert len(set(said)) == 3


def test_the_samples_are_downloaded_as_csv(visit, site) -> None:
    found = visit(
        site("wide"),
        """
        await page.selectOption("#count", "1000");
        await drawn();
        const downloading = page.waitForEvent("download");
        await page.click("#download");
        const download = await downloading;
        const { readFile } = await import("node:fs/promises");
        return {
          ...await samples(), name: download.suggestedFilename(),
          text: await readFile(await download.path(), "utf8"),
        };
        """,
    )
    header, *rows = csv.reader(io.StringIO(found["text"]))
    assert found["name"] == "samples-seed-7.csv"
    assert header == [*(f"x{i}" for i in range(43)), "log_prob"]
    table = np.array(rows, np.float64)
    np.testing.assert_array_equal(table[:, :-1], found["data"].reshape(1000, 43))
    np.testing.assert_array_equal(table[:, -1], found["logProb"])


@pytest.mark.parametrize("way", ["folder", "files", "drop"])
def test_ones_own_bundle_is_opened(visit, site, way: str) -> None:
    folder = site("wide") / "model.rnvp"
    found = visit(
        site("unconditional"),
        """
        const names = ["manifest.json", "sampler.onnx", "density.onnx"];
        const files = names.map((name) => `${args.folder}/${name}`);
        if (args.way === "folder") await page.setInputFiles("#folder", args.folder);
        if (args.way === "files") await page.setInputFiles("#files", files);
        if (args.way === "drop") {
          await page.evaluate(async (names) => {
            const transfer = new DataTransfer();
            for (const name of names) {
              const answer = await fetch(`../wide/model.rnvp/${name}`);
              transfer.items.add(new File([await answer.blob()], name));
            }
            dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
          }, names);
        }
        await page.waitForFunction(() => window.rnvp.flow.dim === 43);
        await drawn();
        await surveyed();
        const alert = await page.textContent("#alert");
        return { ...await samples(), title: await page.title(), alert };
        """,
        folder=str(folder),
        way=way,
    )
    assert found["shape"] == [100_000, 43]
    assert found["title"] == rnvp_runtime.load(folder).manifest.flow.description
    assert found["alert"] == ""


def test_an_altered_bundle_is_refused_and_the_last_one_stays(visit, site, tmp_path) -> None:
    shutil.copytree(site("wide") / "model.rnvp", tmp_path / "model.rnvp")
    path = tmp_path / "model.rnvp" / "sampler.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    found = visit(
        site("unconditional"),
        """
        await page.setInputFiles("#folder", args.folder);
        await page.waitForSelector("#alert:not([hidden])");
        const dim = await page.evaluate(() => window.rnvp.flow.dim);
        return { alert: await page.textContent("#alert"), dim };
        """,
        folder=str(tmp_path / "model.rnvp"),
    )
    assert "sampler.onnx is not the file that was exported (more than " in found["alert"]
    assert found["dim"] == 2


def test_a_seed_that_is_none_is_told(visit, site) -> None:
    found = visit(
        site("unconditional"),
        """
        await page.fill("#seed", "seven");
        await page.click("#draw");
        await page.waitForSelector("#alert:not([hidden])");
        const told = await page.textContent("#alert");
        await page.fill("#seed", "8");
        await page.click("#draw");
        await page.waitForSelector("#alert", { state: "hidden" });
        return told;
        """,
    )
    assert found == "seed is seven, expected a whole number such as 7"


def test_the_page_reads_nothing_from_elsewhere(visit, site, server) -> None:
    found = visit(
        site("unconditional"),
        """
        const asked = new Set();
        await page.context().route("**/*", (route) => {
          asked.add(new URL(route.request().url()).origin);
          route.continue();
        });
        await page.reload();
        await drawn();
        return { asked: [...asked], complaints: page.complaints };
        """,
    )
    assert found == {"asked": [server], "complaints": []}


def test_a_page_without_a_bundle_invites_one(visit, site, root) -> None:
    bare = root / "bare"
    shutil.copytree(site("unconditional"), bare, ignore=shutil.ignore_patterns("model.rnvp"))
    found = visit(
        bare,
        """
        await page.waitForSelector("#alert:not([hidden])");
        return page.textContent("#facts");
        """,
        wait=False,
    )
    shutil.rmtree(bare)
    assert found == "Drop a .rnvp folder here, or choose one."


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("kind", "width"), [("unconditional", 1280), ("wide", 900), ("conditional", 390)]
)
def test_the_page_is_accessible_in_every_guise(
    visit, site, artefacts, kind: str, width: int, scheme: str
) -> None:
    """axe finds nothing, nothing is cut off at the side, and a screenshot is kept."""
    found = visit(
        site(kind),
        """
        await surveyed();
        await page.click("summary");
        await page.focus("#cloud");
        await page.keyboard.press("ArrowUp");
        await page.waitForFunction(() => document.getElementById("readout").textContent);
        await page.screenshot({ path: args.path, fullPage: true });
        await page.addScriptTag({ path: packages.resolve("axe-core/axe.min.js") });
        const { violations } = await page.evaluate(() => axe.run());
        return {
          faults: violations.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)]),
          overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
          summary: await page.textContent("#summary"),
        };
        """,
        path=str(artefacts / f"page-{kind}-{width}-{scheme}.png"),
        options={"viewport": {"width": width, "height": 900}, "colorScheme": scheme},
    )
    assert found["faults"] == []
    assert found["overflow"] <= 0
    assert found["summary"].startswith("100,000 samples of seed 7 at temperature 1, in ")


def test_javascript_errors_reach_the_test(driver) -> None:
    with pytest.raises(JavaScriptError, match="TypeError"):
        driver.run("null.x")
