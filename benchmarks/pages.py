"""The page of ``rnvp-web`` and the JavaScript runtime, with the native engine and onnxruntime-web.

    python -m benchmarks.pages BUNDLE                       print the tables
    python -m benchmarks.pages BUNDLE --write docs/native.md

Two pages of the bundle are served at the speed of a home's line (100 Mbit/s) and opened in Chromium
in turn, each in a browser with an empty cache. Bytes are counted by the host. Then both engines
score rows in Node, on the calling thread, in seconds of the processor, in rounds that take turns.
``tests/js/setup.sh`` installs what is needed.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import machine
from benchmarks.racing import ratio
from benchmarks.tables import duration, markdown
from rnvp_exporters.bundle.page import write_page
from tests.pages import write_measured

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "js"))

from driving import Driver
from hosting import serving

__all__ = ["main"]

PACKAGES = Path(__file__).parents[1] / "runtime" / "js" / "node_modules"
HOME = 100e6 / 8  # bytes a second
ENGINES = ("native", "onnxruntime")

VISIT = """
const page = await freshPage({ viewport: { width: 1280, height: 900 } });
await page.goto(args.url);
const marked = () => performance.getEntriesByName("rnvp-first-samples")[0]?.startTime;
const handle = await page.waitForFunction(marked, null, { timeout: 300000 });
const first = await handle.jsonValue();
await page.waitForFunction(() => window.rnvp.done && window.rnvp.grid?.side === 128, null,
  { timeout: 300000 });
await page.context().close();
return first;
"""
RACE = """
const flows = {
  native: await load(args.bundle, { engine: "native" }),
  onnxruntime: await load(args.bundle, { engine: "onnxruntime", ort: args.ort }),
};
const clock = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6; };
const names = Object.keys(flows);
const times = { native: [], onnxruntime: [] };
const { x } = await flows.native.sample(args.rows, { seed: 1 });
for (let round = 0; round < args.rounds; round++) {
  for (const name of round % 2 ? names : names.toReversed()) {
    await flows[name].logProb(x); // its weights are back in the cache
    const began = clock();
    for (let i = 0; i < args.calls; i++) await flows[name].logProb(x);
    times[name].push((clock() - began) / args.calls);
  }
}
for (const flow of Object.values(flows)) await flow.close();
return times;
"""


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--visits", type=int, default=5, help="of each page (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15, help="of each engine (%(default)s)")
    parser.add_argument("--write", type=Path, help="a page that has the markers of this module")
    given = parser.parse_args()
    chromium = os.environ.get("RNVP_CHROMIUM") or shutil.which("chromium") or "chromium"
    driver = Driver({**os.environ, "RNVP_CHROMIUM": chromium})
    try:
        about = machine.describe()
        text = "\n\n".join(
            [
                f"`python -m benchmarks.pages`, {about['date']}: {about['cpu']}, load average "
                f"{about['load']} for {about['cores']} cores; in brackets the 10th and 90th "
                "percentiles of the ratios of pairs.",
                _pages(driver, given.bundle, given.visits),
                _rows(driver, given.bundle, given.rounds),
            ]
        )
    finally:
        driver.close()
    if given.write:
        write_measured(given.write, "benchmarks.pages", text)
    print(text)


def _pages(driver: Driver, bundle: Path, visits: int) -> str:
    """Bytes and time to the first samples of both pages."""
    sent: list[int] = []
    first: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    fetched: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for engine in ENGINES:
            ort = PACKAGES / "onnxruntime-web" if engine == "onnxruntime" else None
            write_page(bundle, Path(folder) / engine, engine=engine, onnxruntime_web=ort)
        with serving(Path(folder), rate=HOME, sent=sent) as url:
            for visit in range(visits):
                for engine in ENGINES if visit % 2 else reversed(ENGINES):
                    sent.clear()
                    seconds = driver.run(VISIT, url=f"{url}/{engine}/") / 1e3
                    first[engine].append(seconds)
                    fetched[engine] = sum(sent)
                    print(f"visit {visit}, {engine}: {seconds:.2f} s", file=sys.stderr)
    share = ratio(first["native"], first["onnxruntime"])
    body = [
        [engine, f"{fetched[engine] / 1e6:.2f} MB", duration(float(np.median(first[engine])))]
        for engine in ENGINES
    ]
    bytes_share = fetched["native"] / fetched["onnxruntime"]
    body.append(["native / onnxruntime", f"{bytes_share:.3f}", str(share)])
    return markdown(["page", "fetched", "first samples"], body)


def _rows(driver: Driver, bundle: Path, rounds: int) -> str:
    """Seconds of log_prob in Node by both engines."""
    body = []
    for rows, calls in ((1, 400), (16, 100), (65_536, 1)):
        times = driver.run(
            RACE,
            bundle=str(bundle.resolve()),
            ort=(PACKAGES / "onnxruntime-web" / "dist").as_uri() + "/",
            rows=rows,
            calls=calls,
            rounds=rounds if rows < 1000 else min(rounds, 5),
        )
        line = [f"{rows:,}", *(duration(float(np.median(times[name]))) for name in ENGINES)]
        body.append([*line, str(ratio(times["onnxruntime"], times["native"]))])
        print(line, file=sys.stderr)
    head = ["rows in Node, log_prob", "native", "onnxruntime-web", "onnxruntime-web / native"]
    return markdown(head, body)


if __name__ == "__main__":
    main()
