"""The page that ``rnvp-export --web`` writes works in Chromium."""

import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
from agreement import agree
from driving import JavaScriptError
from guises import SURVEY

import rnvp_runtime

N = 10_000
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 42  # the margins of a plot in CSS pixels

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
    """Return a function that runs code on a page, with ``drawn``, ``surveyed`` and ``samples``."""

    def run(site, code: str, **args):
        return driver.run(VISIT + code + LEAVE, url=f"{server}/{site.name}/", **args)

    return run


@pytest.mark.parametrize("kind", ["unconditional", "conditional", "wide"])
def test_the_seed_the_button_and_the_sliders_draw_pythons_samples(visit, site, kind: str) -> None:
    """The page draws Python's samples for the seed, temperature and context that are entered."""
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
    """Pixels are drawn where the samples are, and nowhere else."""
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
    """The pixel rows and columns of the samples in a plot of that size."""
    x = found["data"].reshape(-1, 2)
    (left, right), (bottom, top) = found["view"]
    across = (x[:, 0] - left) / (right - left) * width
    down = (top - x[:, 1]) / (top - bottom) * height
    return np.clip(down, 0, height - 1).astype(int), np.clip(across, 0, width - 1).astype(int)


@pytest.mark.parametrize(("kind", "across", "up"), [("unconditional", 0, 1), ("wide", 5, 40)])
def test_the_heat_map_is_log_density_over_a_slice(visit, site, kind, across: int, up: int) -> None:
    """The heat map holds Python's log_prob over two columns, and its caption names the slice."""
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
    """The mouse and the keyboard both read log_prob at a place."""
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
    """The CSV file has the samples and their log_prob, and its name has the seed."""
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
def test_a_bundle_of_the_visitor_is_opened(visit, site, way: str) -> None:
    """The page opens a bundle that is chosen as a folder or as files, or dropped on the page."""
    folder = site("wide") / "model.rnvp"
    found = visit(
        site("unconditional"),
        """
        const names = ["manifest.json", "flow.bin"];
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
    description = rnvp_runtime.load(folder).manifest.flow.description
    assert found["title"] == ("model" if way == "folder" else description)
    assert found["alert"] == ""


def test_an_altered_bundle_is_refused_and_the_last_one_stays(visit, site, tmp_path) -> None:
    """The page refuses an altered bundle with a message and keeps the flow that it has."""
    shutil.copytree(site("wide") / "model.rnvp", tmp_path / "model.rnvp")
    path = tmp_path / "model.rnvp" / "flow.bin"
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
    assert "flow.bin is not the file that was exported (more than " in found["alert"]
    assert found["dim"] == 2


def test_an_invalid_seed_gives_a_message(visit, site) -> None:
    """An invalid seed shows a message beside the field, and a valid seed removes it."""
    found = visit(
        site("unconditional"),
        """
        await page.fill("#seed", "seven");
        await page.click("#draw");
        await page.waitForSelector("#seed[aria-invalid=true]");
        const told = await page.textContent("#seed-error");
        await page.fill("#seed", "8");
        await page.click("#draw");
        await page.waitForSelector("#seed[aria-invalid=false]");
        return [told, await page.textContent("#seed-error"), await page.isHidden("#alert")];
        """,
    )
    assert found == ["seed is seven, expected a whole number such as 7", "", True]


@pytest.fixture
def ranged(site, root):
    """The conditional page; its manifest has the trained range of each condition."""
    folder = root / "ranged"
    if not folder.exists():
        shutil.copytree(site("conditional"), folder)
        path = folder / "model.rnvp" / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        column = {"low": -2.0, "median": 0.25, "high": 2.0, "deviation": 1.0}
        manifest["reference"] = {
            "source": "held-out rows",
            "rows": 100,
            "levels": [0, 1],
            "log_prob": [-9, 0],
            "columns": [column] * manifest["dim"],
            "context_columns": [column, {**column, "median": 0.5}],
        }
        path.write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_conditions_start_at_the_trained_median_and_an_emptied_field_is_an_error(
    visit, ranged
) -> None:
    """An empty field does not mean 0: it shows a message, and the last samples stay."""
    found = visit(
        ranged,
        """
        const first = (await samples()).context;
        const said = [await page.textContent("#summary"), await page.textContent("#slice")];
        await page.fill("#context-0", "");
        await page.waitForSelector("#context-0[aria-invalid=true]");
        const error = await page.textContent("#context-0-error");
        const kept = (await samples()).context;
        await page.fill("#context-0", "3");
        await drawn();
        const note = await page.textContent("#context-0-note");
        await page.locator("#context-0-slider").fill("1");
        await page.waitForFunction(() => rnvp.done && rnvp.samples.context[0] === 1);
        const typed = await page.inputValue("#context-0");
        return { first, said, error, kept, note, typed, complaints: page.complaints };
        """,
    )
    assert found["first"] == found["kept"] == [0.25, 0.5]
    assert all("given c0 0.25, c1 0.5" in text for text in found["said"])
    assert found["error"] == "c0 is empty, expected a number such as 0.25"
    assert found["note"] == "outside the trained range, −2 to 2"
    assert (found["typed"], found["complaints"]) == ("1", [])


def test_the_address_keeps_the_view(visit, ranged) -> None:
    """The address holds what was chosen, so opening it again shows the same samples."""
    found = visit(
        ranged,
        """
        await page.selectOption("#count", "1000");
        await page.selectOption("#up", "x2");
        await page.fill("#context-1", "-1.5");
        await page.fill("#seed", "8");
        await page.click("#draw");
        await page.waitForFunction(() => rnvp.done && location.hash.includes("seed=8"));
        const [address, before] = [page.url(), await samples()];
        await page.goto("about:blank");
        await page.goto(address);
        await drawn();
        const [{ hash }, title] = [new URL(address), await page.title()];
        return { hash, before, after: await samples(), title };
        """,
    )
    assert found["hash"] == "#seed=8&points=1000&up=x2&given.c1=-1.5"
    np.testing.assert_array_equal(found["after"]["data"], found["before"]["data"])
    assert found["after"]["context"] == found["before"]["context"] == [0.25, -1.5]
    assert found["title"] == "conditional"


def test_across_and_up_are_never_the_same_column(visit, site) -> None:
    """The other axis gets the column that was replaced, also for an address."""
    found = visit(
        site("wide"),
        """
        const chosen = () => page.evaluate(() =>
          ["across", "up"].map((id) => document.getElementById(id).value));
        const seen = [];
        await page.selectOption("#up", "x0");
        seen.push(await chosen());
        await page.selectOption("#up", "x5");
        await page.selectOption("#across", "x5");
        seen.push(await chosen());
        await page.evaluate(() => { location.hash = "across=x3&up=x3"; });
        await page.waitForFunction(() => document.getElementById("across").value === "x3");
        seen.push(await chosen());
        return seen;
        """,
    )
    assert found == [["x1", "x0"], ["x5", "x1"], ["x3", "x1"]]


def test_statistics_are_a_table_of_each_column(visit, site) -> None:
    """The table has the mean, deviation and range of each column, and of log p."""
    found = visit(
        site("unconditional"),
        """
        const table = await page.evaluate(() =>
          [...document.querySelectorAll("#statistics tr")].map((row) =>
            [...row.cells].map((cell) => cell.textContent)));
        const histograms = await page.locator("#marginals svg").count();
        return { ...await samples(), table, histograms };
        """,
    )
    header, *rows = found["table"]
    assert header == ["column", "mean", "std. deviation", "lowest", "highest"]
    assert [row[0] for row in rows] == ["x0", "x1", "log p (nats)"]
    x, log_prob = found["data"].reshape(-1, 2), found["logProb"].reshape(-1, 1)
    values = np.concatenate([x, log_prob], axis=1).astype(np.float64)
    shown = np.array([[float(cell.replace("−", "-")) for cell in row[1:]] for row in rows])
    expected = np.stack([values.mean(0), values.std(0), values.min(0), values.max(0)], axis=1)
    np.testing.assert_allclose(shown, expected, rtol=2e-3)
    assert found["histograms"] == 2


def test_code_and_link_are_copied(visit, site) -> None:
    """The buttons copy the Python code of the samples and the address of the page."""
    found = visit(
        site("unconditional"),
        """
        await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
        const copied = (id) => page.waitForFunction(
          (id) => document.getElementById(id).textContent === "Copied", id);
        await page.click("summary");
        await page.click("#copy-code");
        await copied("copy-code");
        const code = await page.evaluate(() => navigator.clipboard.readText());
        await page.click("#copy-link");
        await copied("copy-link");
        return [code, await page.evaluate(() => navigator.clipboard.readText())];
        """,
    )
    assert found[0].endswith("flow.sample(100000, seed=7,\n    temperature=1)")
    assert found[1].endswith("/unconditional/")


def test_a_tap_reads_log_prob_and_stays(visit, site) -> None:
    """On a touch screen the value stays, and the hint does not mention a mouse."""
    found = visit(
        site("unconditional"),
        """
        await page.tap("#heat");
        await page.waitForFunction(() => document.getElementById("readout").textContent);
        await page.waitForTimeout(200);
        return [await page.textContent("#readout"), await page.isVisible("#hint .mouse")];
        """,
        options={"viewport": {"width": 390, "height": 844}, "hasTouch": True, "isMobile": True},
    )
    assert found[0].startswith("log p = ")
    assert found[1] is False


def test_where_it_cannot_run_the_page_says_why(driver, server, site) -> None:
    """The page explains that it needs JavaScript and a server."""
    folder = site("unconditional")
    found = driver.run(
        """
        const off = await newPage({ javaScriptEnabled: false });
        await off.goto(args.url);
        const file = await newPage();
        await file.goto(args.file);
        await file.waitForSelector("#as-file");
        const said = [await off.innerText("noscript"), await file.innerText("#as-file")];
        await Promise.all([off, file].map((page) => page.context().close()));
        return said;
        """,
        url=f"{server}/{folder.name}/",
        file=(folder / "index.html").as_uri(),
    )
    assert "needs JavaScript" in re.sub(r"\s+", " ", found[0])
    assert "python -m http.server" in found[1]


@pytest.mark.slow
def test_one_column_is_drawn_against_its_log_density(visit, site) -> None:
    """The plot of a single column has log_prob as its second axis, and there is no heat map."""
    found = visit(
        site("single"),
        """
        await page.hover("#cloud", { position: { x: 150, y: 150 } });
        await page.waitForFunction(() => document.getElementById("readout").textContent);
        return {
          ...await samples(), said: await page.textContent("#readout"),
          density: await page.isVisible("#density"), complaints: page.complaints,
        };
        """,
    )
    low, high = found["view"][1]
    assert low < np.median(found["logProb"]) < high
    assert re.fullmatch(r"log p = \S+ nats at x0 \S+", found["said"])
    assert (found["density"], found["complaints"]) == (False, [])


def test_the_page_reads_nothing_from_elsewhere(visit, site, server) -> None:
    """The page sends requests only to its own server and reports no error."""
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


def test_a_page_without_a_bundle_asks_for_one(visit, site, root) -> None:
    """A page without a bundle asks for one and shows the inputs for it, but no plot."""
    bare = root / "bare"
    shutil.copytree(site("unconditional"), bare, ignore=shutil.ignore_patterns("model.rnvp"))
    found = visit(
        bare,
        """
        await page.waitForSelector("#alert:not([hidden])");
        const shown = (id) => page.isVisible(id);
        return [await page.textContent("#facts"), await shown("#cloud"), await shown("#own")];
        """,
        wait=False,
    )
    shutil.rmtree(bare)
    assert found == ["Drop a .rnvp folder here, or choose one.", False, True]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("kind", "width"), [("unconditional", 1280), ("wide", 900), ("conditional", 390)]
)
def test_the_page_is_accessible_in_every_guise(
    visit, site, artefacts, kind: str, width: int, scheme: str
) -> None:
    """axe reports no fault, nothing overflows at the side, and a screenshot is saved."""
    found = visit(
        site(kind),
        """
        await surveyed();
        await page.click("summary");
        await page.focus("#cloud");
        await page.keyboard.press("ArrowUp");
        await page.waitForFunction(() => document.getElementById("readout").textContent);
        """
        + SURVEY
        + """
        return { ...survey, summary: await page.textContent("#summary") };
        """,
        path=str(artefacts / f"page-{kind}-{width}-{scheme}.png"),
        options={"viewport": {"width": width, "height": 900}, "colorScheme": scheme},
    )
    assert found["faults"] == found["complaints"] == []
    assert found["overflow"] <= 0
    assert found["summary"].startswith("100,000 samples of seed 7 at temperature 1, in ")


def test_javascript_errors_reach_the_test(driver) -> None:
    """An error in the JavaScript code becomes a JavaScriptError in Python with its name."""
    with pytest.raises(JavaScriptError, match="TypeError"):
        driver.run("null.x")
