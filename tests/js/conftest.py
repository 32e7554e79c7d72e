"""Bundles as pages on a static server, with Node and Chromium to run them.

``setup.sh`` installs what is needed. Without it these tests are skipped. If ``CI`` is set, they
fail instead.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bundles import export
from driving import Driver, Place
from hosting import serving

from rnvp_exporters.bundle.page import write_page
from tests.faults.signed import keys, signed

__all__ = ["keys", "signed"]

PACKAGE = Path(__file__).parents[2] / "runtime" / "js"
KINDS: dict[str, dict[str, Any]] = {
    "unconditional": {"dim": 2},
    "conditional": {"dim": 3, "context_dim": 2},
    "wide": {"dim": 43},
    "single": {"dim": 1, "context_dim": 1},
    "double": {"dim": 3, "dtype": "float64"},
}


def needed(what: str, there: bool) -> None:
    """Skip or fail the test unless a tool is installed."""
    if there:
        return
    sentence = f"{what} is not installed: run tests/js/setup.sh"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(scope="session")
def packages() -> Path:
    """The npm packages of ``runtime/js``."""
    folder = PACKAGE / "node_modules"
    needed("Node", shutil.which("node") is not None)
    for name in ("axe-core", "onnxruntime-node", "onnxruntime-web", "playwright-core"):
        needed(f"npm's {name}", (folder / name).is_dir())
    return folder


@pytest.fixture(scope="session")
def driver(packages: Path) -> Iterator[Driver]:
    chromium = os.environ.get("RNVP_CHROMIUM") or shutil.which("chromium")
    needed("Chromium", chromium is not None)
    driver = Driver({**os.environ, "RNVP_CHROMIUM": str(chromium)})
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="session")
def server(root: Path) -> Iterator[str]:
    """The URL of a static host that serves ``root``."""
    with serving(root) as url:
        yield url


@pytest.fixture(scope="session")
def site(
    root: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a function that makes the page of a kind of bundle. Tests must not change a page."""
    bundles = tmp_path_factory.mktemp("bundles")

    def make(kind: str) -> Path:
        target = root / kind
        if not target.exists():
            export(bundles / f"{kind}.rnvp", **KINDS[kind])
            ort = packages / "onnxruntime-web"
            write_page(bundles / f"{kind}.rnvp", target, onnxruntime_web=ort)
        return target

    return make


@pytest.fixture(params=["node", "chromium"])
def place(request: pytest.FixtureRequest, driver: Driver, server: str) -> Place:
    """Run the test in Node and in Chromium."""
    return Place(driver, server, request.param)


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """The folder for screenshots, which ``RNVP_ARTIFACTS`` names."""
    folder = Path(os.environ.get("RNVP_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
