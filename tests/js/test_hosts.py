"""Projects with bundlers and module systems, one of each kind, are built and run.

`python -m tests.js.hosts` runs all of them. The bundlers come from npm. If npm cannot be reached,
their tests are skipped.
"""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import needed
from hosts.project import Failed, Kit, answer_of, check
from hosts.table import HOSTS, ORT, Host

CACHE = Path(__file__).parents[2] / ".cache" / "js-hosts"
BY_NAME = {host.name: host for host in HOSTS}


def cost(host: Host):
    """A test case, marked slow if a bundler must be installed first."""
    return pytest.param(host, id=host.name, marks=[pytest.mark.slow] if host.packages else [])


@pytest.fixture(scope="module")
def kit(driver, site, packages) -> Kit:
    return Kit(driver, site("unconditional") / "model.rnvp", CACHE)


@pytest.fixture(scope="module")
def npm() -> None:
    """Skip the test if packages cannot be installed."""
    asked = ["npm", "view", "esbuild", "version"]
    there = shutil.which("npm") and subprocess.run(asked, capture_output=True).returncode == 0
    needed("npm's registry cannot be reached: a bundler", bool(there))


@pytest.mark.parametrize("host", [cost(host) for host in HOSTS if host.tried])
def test_a_project_builds_runs_and_gives_pythons_numbers(request, kit, host: Host) -> None:
    """Each project builds and runs, and its samples and log_prob agree with Python."""
    if host.packages:
        request.getfixturevalue("npm")
    check(host, kit)


@pytest.mark.slow
def test_vites_dev_server_without_the_setting_says_what_to_set(npm, kit) -> None:
    """Vite 5 to 7 separate the package from its worker unless a setting excludes it."""
    host = BY_NAME["Vite 7, dev server"]
    plain = replace(host, files={**host.files, "vite.config.js": "export default {};"})
    told = answer_of(plain, kit)
    assert "EngineError: the worker's script http://127.0.0.1" in told["error"]
    assert 'optimizeDeps: { exclude: ["rnvp-runtime"] } to vite.config.js' in told["error"]


@pytest.mark.slow
def test_a_bundle_without_its_worker_says_where_the_recipes_are(npm, kit) -> None:
    """esbuild and rollup emit the worker only if it is an entry of its own."""
    host = BY_NAME["esbuild, ES module for a page"]
    command = "npx esbuild app.js --bundle --format=esm --outdir=dist"
    told = answer_of(replace(host, commands=(command,)), kit)
    assert "worker.js cannot be loaded (the server answers 404): see 'Bundlers'" in told["error"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["webpack 5.109, page", "esbuild, IIFE for a page"])
def test_a_bundle_without_onnxruntimes_address_says_what_to_pass(npm, kit, name: str) -> None:
    """A bundled page without the ``ort`` option gives an error that says what to pass."""
    host = BY_NAME[name]
    app = host.files["app.js"].replace(ORT, "")
    told = answer_of(replace(host, files={**host.files, "app.js": app}), kit)
    assert (
        "EngineError: onnxruntime-web's files cannot be found from inside a bundle"
        in (told["error"])
    )
    assert "pass {ort: the folder's URL}" in told["error"]


def test_a_host_that_gives_other_numbers_fails(kit) -> None:
    """This shows that the comparison in the tests above can fail."""
    host = BY_NAME["Node, ES module"]
    wrong = host.files["program.mjs"].replace("seed: 7", "seed: 8")
    with pytest.raises(Failed, match=r"x is .* expected"):
        check(replace(host, files={"program.mjs": wrong}), kit)
