"""Static hosts with missing or wrong MIME types: a standard nginx and worse configurations."""

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import needed
from driving import JavaScriptError, Place
from hosting import serving

from tests.ports import free_port

OCTETS = "application/octet-stream"
SAMPLE = """
const flow = await load(args.source, { engine: "onnxruntime" });
return (await flow.sample(5)).x.shape;
"""

CONFIG = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  include {types};
  default_type application/octet-stream;
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@pytest.fixture(scope="module")
def nginx(root, tmp_path_factory) -> Iterator[str]:
    """The URL of an nginx with the MIME types that Debian's package installs."""
    binary = shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin")
    types = Path("/etc/nginx/mime.types")
    needed("nginx", binary is not None and types.exists())
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "root").symlink_to(root)
    temporary = Path(tempfile.gettempdir()).resolve()
    for path in {folder, root, *folder.resolve().parents, *root.resolve().parents}:
        if temporary in path.resolve().parents:
            path.chmod(0o755)  # the workers of nginx run as another user
    port = free_port()
    (folder / "nginx.conf").write_text(
        CONFIG.format(folder=folder, types=types, port=port, root=root)
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(binary), "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=log
        )
        try:
            wait(f"http://127.0.0.1:{port}/", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when ``url`` answers with any status."""
    while process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"nginx does not start: {log.read_text()}")


def test_a_stock_nginx_knows_the_type_of_every_script(nginx, site) -> None:
    """A browser runs a script only if its type is JavaScript's. nginx has a type for .js alone."""
    page = site("unconditional")
    scripts = [path for path in page.rglob("*") if path.suffix in (".js", ".mjs", ".cjs")]
    assert len(scripts) > 5
    for path in scripts:
        with urllib.request.urlopen(f"{nginx}/{page.name}/{path.relative_to(page)}") as response:
            assert response.headers["content-type"].endswith("/javascript"), path


def test_the_page_runs_on_a_stock_nginx(driver, nginx, site) -> None:
    """The page draws 100,000 samples without an error on nginx with Debian's MIME types."""
    complaints, rows = driver.run(
        """
        const page = await newPage();
        try {
          await page.goto(args.url);
          await page.waitForFunction(() => window.rnvp?.done, null, { timeout: 300000 });
          return [page.complaints, await page.evaluate(() => window.rnvp.samples.shape[0])];
        } finally { await page.context().close(); }
        """,
        url=f"{nginx}/{site('unconditional').name}/",
    )
    assert (complaints, rows) == ([], 100_000)


def test_a_module_with_another_mime_type_is_named_with_it(driver, root, site, packages) -> None:
    """npm's folder has .mjs files, for which this host has no MIME type."""
    page = site("unconditional")
    shutil.copytree(packages / "onnxruntime-web" / "dist", root / "npm-dist")
    try:
        with serving(root, types={".mjs": OCTETS}) as url, pytest.raises(JavaScriptError) as caught:
            Place(driver, url, "chromium").run(
                "const ort = new URL('/npm-dist/', location.href);"
                "const flow = await load(args.source, { engine: 'onnxruntime', ort });"
                "return flow.sample(5);",
                page,
            )
    finally:
        shutil.rmtree(root / "npm-dist")
    assert caught.value.name == "EngineError"
    assert f"it is served as {OCTETS}, expected text/javascript" in caught.value.message
    assert "serve the two .mjs files under names that end in .js" in caught.value.message


def test_a_worker_with_another_mime_type_is_named_with_it(driver, root, site) -> None:
    """A worker script with a wrong MIME type gives an error that names it and the expected type."""
    page = site("unconditional")
    shutil.copyfile(page / "rnvp-runtime/src/worker.js", page / "rnvp-runtime/src/worker.odd")
    try:
        with serving(root, types={".odd": OCTETS}) as url, pytest.raises(JavaScriptError) as caught:
            Place(driver, url, "chromium").run(
                "const worker = new URL(args.source + '/../rnvp-runtime/src/worker.odd');"
                "const flow = await load(args.source, { worker }); return flow.sample(5);",
                page,
            )
    finally:
        (page / "rnvp-runtime/src/worker.odd").unlink()
    assert caught.value.name == "EngineError"
    assert f"it is served as {OCTETS}, expected text/javascript" in caught.value.message


def test_wasm_with_another_mime_type_runs(driver, root, site) -> None:
    """onnxruntime-web runs if the host serves .wasm files as application/octet-stream."""
    with serving(root, types={".wasm": OCTETS}) as url:
        place = Place(driver, url, "chromium")
        assert place.run(SAMPLE, site("unconditional")) == [5, 2]


def test_the_umd_build_is_refused_by_name(driver, root, site, packages) -> None:
    """npm's ort.wasm.min.js is not an ES module, but the page's file of that name is one."""
    shutil.copytree(packages / "onnxruntime-web" / "dist", root / "npm-dist")
    try:
        with serving(root) as url, pytest.raises(JavaScriptError) as caught:
            Place(driver, url, "chromium").run(
                "const ort = new URL('/npm-dist/ort.wasm.min.js', location.href);"
                "const flow = await load(args.source, { engine: 'onnxruntime', ort });"
                "return flow.sample(5);",
                site("unconditional"),
            )
    finally:
        shutil.rmtree(root / "npm-dist")
    assert "is not onnxruntime-web's ES module: copy ort.wasm.min.mjs there" in caught.value.message
