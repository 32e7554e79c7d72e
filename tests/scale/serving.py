"""A real rnvp-serve process for the tests."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = "from rnvp_runtime.commands.serve import serve; serve()"


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    process: "subprocess.Popen[str]"
    address: str  # host:port

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the body of a GET."""
        return self._open(urllib.request.Request(f"http://{self.address}{path}"))

    def post(
        self, path: str, body: bytes | Any, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the body of a POST of bytes, or of a value as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://{self.address}{path}"
        return self._open(urllib.request.Request(url, data, headers or {}, method="POST"))

    def infer(self, model: str, **inputs: Any) -> tuple[int, Any]:
        """The answer to an infer request that sends arrays as FP64 in JSON."""
        entries = [
            {"name": n, "shape": list(a.shape), "datatype": "FP64", "data": a.ravel().tolist()}
            for n, a in inputs.items()
        ]
        return self.post(f"/v2/models/{model}/infer", {"inputs": entries})

    def next_line(self) -> str:
        """The next line of its standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    @staticmethod
    def _open(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text


@contextmanager
def serving(bundle: Path, *options: object) -> Iterator[Server]:
    """Run rnvp-serve with ``bundle`` on a free port. It must stop by itself after SIGTERM."""
    command = [sys.executable, "-c", COMMAND, str(bundle), "--port", "0", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            found = re.search(r"http://(\S+), id", line)
            assert found, line + process.stderr.read()
            yield Server(process, found.group(1))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(timeout=60) in (0, -signal.SIGTERM)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
