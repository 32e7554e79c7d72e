"""Make the pictures of the README and of the documentation: ``make pictures``.

    python -m tests.docs.pictures MOONS.rnvp EVENTS.rnvp

The first bundle has two columns, the second is conditional. The pictures of the page and the report
are screenshots of Chromium. The scripts of ``examples/gallery`` draw the others.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rnvp_runtime.bundle.manifest import Manifest

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
GALLERY = ROOT / "examples" / "gallery"

CONDITIONAL = ("conditions",)
"""The scripts of the gallery that need a conditional bundle. The others need two columns."""

PHOTOGRAPH = """
const page = await newPage({ viewport: args.size, colorScheme: "light" });
await page.goto(args.url);
if (args.drawn) {
  await page.waitForFunction(() => window.rnvp?.done && window.rnvp.grid?.side === 128);
}
await page.screenshot({ path: args.path });
await page.context().close();
"""


def scripts() -> list[str]:
    """The names of the scripts of the gallery."""
    return sorted(path.stem for path in GALLERY.glob("*.py"))


def draw(script: str, bundle: Path, picture: Path) -> None:
    """Run a script of the gallery on ``bundle``."""
    command = [sys.executable, str(GALLERY / f"{script}.py"), str(bundle), str(picture)]
    subprocess.run(command, check=True)


def photograph(bundle: Path) -> None:
    """Save screenshots of the page of ``bundle`` and of its report."""
    sys.path.insert(0, str(ROOT / "tests" / "js"))
    from driving import Driver
    from hosting import serving

    from rnvp_exporters.bundle.page import write_page

    ort = ROOT / "runtime" / "js" / "node_modules" / "onnxruntime-web"
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        write_page(bundle, site, onnxruntime_web=ort)
        chromium = os.environ.get("RNVP_CHROMIUM") or shutil.which("chromium") or ""
        driver = Driver({**os.environ, "RNVP_CHROMIUM": chromium})
        with serving(site) as url:
            for name, path, size in (
                ("page", "", {"width": 1000, "height": 604}),
                ("report", "model.rnvp/report.html", {"width": 900, "height": 640}),
            ):
                target = str(PICTURES / f"{name}.png")
                address = f"{url}/{path}"
                driver.run(PHOTOGRAPH, url=address, path=target, size=size, drawn=name == "page")
        driver.close()


def main(moons: Path, events: Path) -> None:
    """Write every picture."""
    assert Manifest.read(moons).dim == 2
    assert Manifest.read(events).context_dim > 0
    PICTURES.mkdir(exist_ok=True)
    for script in scripts():
        bundle = events if script in CONDITIONAL else moons
        draw(script, bundle, PICTURES / f"{script}.png")
    photograph(moons)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
