"""Make, build and run the project of a host, and compare its answer with Python's."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from driving import Driver, JavaScriptError
from hosting import serving

import rnvp_runtime
from tests.ports import free_port

from .table import Host

__all__ = ["Failed", "Kit", "answer_of", "check"]

PACKAGE = Path(__file__).parents[3] / "runtime" / "js"
WASM_BUILD = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PATIENCE = 300.0  # the maximum time of one command in seconds

READ = """
const page = await newPage();
try {
  let workers = 0;
  page.on("worker", () => { workers++; });
  await page.goto(args.url);
  await page.waitForFunction(() => window.answer, null, { timeout: 120000 });
  const answer = await page.evaluate(() => window.answer);
  return { ...answer, workers, complaints: page.complaints };
} finally { await page.context().close(); }
"""


class Failed(Exception):
    """A host did not build, did not run, or gave other numbers."""


@dataclass(frozen=True)
class Kit:
    """What the projects of all hosts share.

    Attributes:
        driver: Node and Chromium.
        bundle: An unconditional bundle.
        folder: The folder of the projects. It is kept, so that packages are installed once.
    """

    driver: Driver
    bundle: Path
    folder: Path


def check(host: Host, kit: Kit) -> None:
    """Build and run the project of ``host``.

    Raises:
        Failed: The project does not build or run, or its numbers differ from Python's.
    """
    answer = answer_of(host, kit)
    if "error" in answer:
        raise Failed(answer["error"])
    flow = rnvp_runtime.load(kit.bundle)
    x, log_prob = flow.sample(4, seed=7, return_log_prob=True)
    for name, expected in (("x", x.ravel()), ("logProb", log_prob), ("scored", log_prob)):
        if not np.allclose(answer[name], expected, atol=1e-4):
            raise Failed(f"{name} is {answer[name]}, expected {expected}")
    if "workers" in answer and bool(answer["workers"]) != host.worker:
        raise Failed(f"it ran with {answer['workers']} workers")


def answer_of(host: Host, kit: Kit) -> dict[str, Any]:
    """The answer of the project of ``host``: numbers or ``error``."""
    project = _made(host, kit)
    environment = os.environ | {
        "NEXT_TELEMETRY_DISABLED": "1",
        "RNVP_BUNDLE": str(kit.bundle),
        "NO_UPDATE_NOTIFIER": "1",
        "CI": "1",
    }
    for command in host.commands:
        _run(command, project, environment)
    if host.program:
        told = _run(host.program.format(bundle=kit.bundle), project, environment)
        found: dict[str, Any] = json.loads(told.splitlines()[-1])
        return found
    with _served(host, project, environment) as url:
        if host.path == "/":
            try:
                answer: dict[str, Any] = kit.driver.run(READ, url=url + host.path)
            except JavaScriptError as error:
                raise Failed(str(error)) from error
            return answer
        with urllib.request.urlopen(url + host.path, timeout=PATIENCE) as response:
            told_by_route: dict[str, Any] = json.load(response)
            return told_by_route


def _made(host: Host, kit: Kit) -> Path:
    """The project's folder with its packages and with new copies of its own files."""
    project = kit.folder / sha256(repr(host.packages).encode()).hexdigest()[:12]
    modules = project / "node_modules"
    project.mkdir(parents=True, exist_ok=True)
    for path in project.iterdir():
        if path.name not in ("node_modules", ".installed"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (project / "package.json").write_text('{"name": "project", "private": true}')
    if host.packages and not (project / ".installed").exists():
        specs = " ".join(host.packages)
        _run(f"npm install --no-save --no-package-lock --no-audit --no-fund {specs}", project)
        (project / ".installed").touch()
    for name, text in host.files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    _install_package(modules)
    public = project / host.public
    shutil.rmtree(public / "model.rnvp", ignore_errors=True)
    shutil.copytree(kit.bundle, public / "model.rnvp")
    (public / "onnxruntime").mkdir(exist_ok=True)
    for name in WASM_BUILD:
        source = PACKAGE / "node_modules" / "onnxruntime-web" / "dist" / name
        shutil.copyfile(source, public / "onnxruntime" / name)
    return project


def _install_package(modules: Path) -> None:
    """Copy the files of the npm package, and link onnxruntime-node, into ``modules``."""
    modules.mkdir(exist_ok=True)
    package = modules / "rnvp-runtime"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(PACKAGE / "src", package / "src")
    shutil.copyfile(PACKAGE / "package.json", package / "package.json")
    for name in ("onnxruntime-node", "onnxruntime-common"):
        if not (modules / name).exists():
            (modules / name).symlink_to(PACKAGE / "node_modules" / name)


def _run(command: str, folder: Path, environment: dict[str, str] | None = None) -> str:
    process = subprocess.Popen(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # the processes that it starts end with it
    )
    try:
        told, complaints = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Failed(f"{command}: not done after {PATIENCE:.0f} s") from error
    if process.returncode:
        raise Failed(f"{command}: {(told + complaints).strip()[-2000:]}")
    return told


@contextmanager
def _served(host: Host, project: Path, environment: dict[str, str]) -> Iterator[str]:
    """The URL of the running project."""
    if host.served is not None:
        with serving(project / host.served) as url:
            yield url
        return
    assert host.server
    port = free_port()
    with (project / "server.log").open("w+") as log:
        process = subprocess.Popen(
            host.server.format(port=port),
            shell=True,
            cwd=project,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/", process, project / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until ``url`` answers."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise Failed(f"the server does not answer: {log.read_text()[-2000:]}")
