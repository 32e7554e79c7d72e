"""Real web servers and task queues load a flow and then start their workers."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rnvp_runtime
from tests.ports import free_port
from tests.runtime.conftest import bundle

__all__ = ["bundle"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

FLOW = """
import os, rnvp_runtime
flow = rnvp_runtime.load(os.environ["BUNDLE"])
flow.log_prob([[0.5, 1.0]])  # used before the workers are made

def score():
    return f"{os.getpid()} {flow.log_prob([[0.5, 1.0]])[0]!r} {flow.sample(1, seed=1)[0, 0]!r}"
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [score().encode()]
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": score().encode()})
"""
CELERY = """
from celery import Celery
app = Celery("host", broker="filesystem://", backend=f"file://{os.getcwd()}/results")
app.conf.broker_transport_options = {
    "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"
}
app.task(score, name="score")
"""


def expected_of(bundle: Path) -> str:
    """What `score` returns, without the id of the process."""
    flow = rnvp_runtime.load(bundle)
    return f"{flow.log_prob([[0.5, 1.0]])[0]!r} {flow.sample(1, seed=1)[0, 0]!r}"


def requires(name: str) -> None:
    """Skip the test if the server is not installed."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install {name}")


@contextmanager
def running(folder: Path, bundle: Path, code: str, *command: object) -> Iterator[None]:
    """Run a server whose module ``host`` contains ``code``. It must end after SIGTERM."""
    (folder / "host.py").write_text(FLOW + code)
    environment = {**os.environ, "BUNDLE": str(bundle)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *map(str, command)],
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        finally:
            server.kill()
            server.wait()


def ask(port: int, patience: float = 60) -> list[str]:
    """Return the id of the process that answers and its answer, once the server listens."""
    until = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                return str(answer.read(), "ascii").split(" ", 1)
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_gunicorn_preloads_the_flow_and_replaces_its_workers(bundle: Path, tmp_path: Path) -> None:
    """The workers are forked from the process that used the flow. They answer and end."""
    requires("gunicorn")
    port = free_port()
    with running(
        tmp_path, bundle, WSGI, "gunicorn", "--preload", "--workers", 2, "--max-requests", 4,
        "--bind", f"127.0.0.1:{port}", "host:app",
    ):  # fmt: skip
        answers = [ask(port) for _ in range(24)]
    assert {answer for _, answer in answers} == {expected_of(bundle)}
    assert len({process for process, _ in answers}) > 2, "no worker was replaced"


def test_uvicorn_workers_answer(bundle: Path, tmp_path: Path) -> None:
    """Each worker is a new process that loads the flow."""
    requires("uvicorn")
    port = free_port()
    with running(
        tmp_path, bundle, ASGI, "uvicorn", "--workers", 2, "--port", port, "host:app"
    ):  # fmt: skip
        answers = [ask(port) for _ in range(10)]
    assert {answer for _, answer in answers} == {expected_of(bundle)}


def test_celery_prefork_workers_compute(bundle: Path, tmp_path: Path) -> None:
    """Tasks run in child processes of the process that used the flow. The broker is a folder."""
    requires("celery")
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    client = """
import host
results = [host.app.send_task("score") for _ in range(8)]
print(*(result.get(timeout=120) for result in results), sep="\\n")
"""
    with running(
        tmp_path, bundle, CELERY, "celery", "-A", "host", "worker", "--pool", "prefork",
        "--concurrency", 2, "--max-tasks-per-child", 2,
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", client],
            cwd=tmp_path, env={**os.environ, "BUNDLE": str(bundle)},
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
    answers = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert {answer for _, answer in answers} == {expected_of(bundle)}, done.stderr
    assert len(answers) == 8
