"""rnvp-serve under load, beside a bare echo of the same framework; every answer is checked.

    python -m benchmarks.serving BUNDLE --requests 10000 --clients 32 --write

``--write`` puts the table into docs/scaling.md. Clients keep their connection and send binary
tensors of 1 to 1000 rows. The servers are asked in turns of 500 requests, so that the load of the
machine is the same for both.
"""

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import rnvp_runtime
from rnvp_runtime.padded_rows import padded_log_prob
from tests.pages import measured_here, write_measured

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
TURN = 500
IDLE = 1.0  # seconds; uvicorn closes a connection after 5
PATH = "/v2/models/density/infer"
SERVE = "from rnvp_runtime.commands.serve import serve; serve()"
ECHO = """
import socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
async def echo(request):
    return Response(await request.body())
app = Starlette(routes=[Route("/{path:path}", echo, methods=["POST"])])
config = uvicorn.Config(app, port=0, http="h11", ws="none", log_level="warning", access_log=False)
listening = config.bind_socket()
listening.listen(128)
print("http://127.0.0.1:%d, id" % listening.getsockname()[1], file=sys.stderr, flush=True)
uvicorn.Server(config).run(sockets=[listening])
"""


@dataclass
class Asked:
    """A server, and the milliseconds that its answers took."""

    process: "subprocess.Popen[str]"
    address: str
    milliseconds: list[float] = field(default_factory=list)


def started(code: str, *arguments: str) -> Asked:
    """A server that listens."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://(\S+), id", line)
    assert found, line + process.stderr.read()
    return Asked(process, found.group(1))


class Clients:
    """Threads that each keep one connection to each server."""

    def __init__(self, flow: rnvp_runtime.Flow, clients: int) -> None:
        self.flow, self._local = flow, threading.local()
        self.pool = ThreadPoolExecutor(clients)

    def turn(self, server: Asked, numbers: range, check: bool) -> None:
        """Ask ``server`` the requests ``numbers``."""
        times = self.pool.map(lambda i: self._ask(server, i, check), numbers)
        server.milliseconds += list(times)

    def _ask(self, server: Asked, i: int, check: bool) -> float:
        generator = np.random.default_rng(i)
        rows = int(generator.choice([1, 1, 1, 10, 100, 1000]))
        x = generator.normal(size=(rows, self.flow.dim)).astype(np.float32)
        head = json.dumps(
            {
                "inputs": [
                    {
                        "name": "x",
                        "shape": list(x.shape),
                        "datatype": "FP32",
                        "parameters": {"binary_data_size": x.nbytes},
                    }
                ],
                "outputs": [{"name": "log_prob", "parameters": {"binary_data": True}}],
            }
        ).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        connection = self._connection(server.address)
        began = time.perf_counter()
        connection.request("POST", PATH, head + x.tobytes(), headers)
        answer = connection.getresponse()
        body = answer.read()
        took = 1000 * (time.perf_counter() - began)
        assert answer.status == 200, body
        if check:
            at = int(answer.headers["Inference-Header-Content-Length"])
            found = np.frombuffer(body[at:], np.float32)
            assert (found == padded_log_prob(self.flow, x, None)).all(), i
        self._local.__dict__[server.address] = connection, time.monotonic()
        return took

    def _connection(self, address: str) -> http.client.HTTPConnection:
        """This thread's connection; a new one after a pause, in which the server closes it."""
        found: http.client.HTTPConnection
        found, used = self._local.__dict__.get(address, (None, 0.0))
        if found is None or time.monotonic() - used > IDLE:
            if found is not None:
                found.close()
            found = http.client.HTTPConnection(address, timeout=600)
            found.connect()
        return found


def table(servers: dict[str, Asked], requests: int, clients: int) -> str:
    """The times as a table of the page, and how they were measured."""
    lines = ["| | p50, ms | p99, ms |", "|---" * 3 + "|"]
    for name, server in servers.items():
        p50, p99 = np.percentile(server.milliseconds, [50, 99])
        lines.append(f"| {name} | {p50:.1f} | {p99:.1f} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{measured_here()}: {requests:,} requests of 1 to 1000 rows from {clients} clients at "
            "a time, in turns with a server of the same "
            "framework that returns the body. The clients run on the same CPUs, and the machine "
            f"had other work: its load average was {os.getloadavg()[2]:.0f}. All answers were bit "
            "for bit the library's.",
        ]
    )


def main() -> None:
    """Print p50 and p99 of both servers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--write", action="store_true", help="put the table into docs/scaling.md")
    options = parser.parse_args()
    clients = Clients(rnvp_runtime.load(options.bundle), options.clients)
    flow, echo = started(SERVE, str(options.bundle), "--port", "0"), started(ECHO)
    try:
        for low in range(0, options.requests, TURN):
            numbers = range(low, min(low + TURN, options.requests))
            clients.turn(flow, numbers, check=True)
            clients.turn(echo, numbers, check=False)
    finally:
        for server in (flow, echo):
            server.process.send_signal(signal.SIGTERM)
            server.process.wait()
    text = table({"rnvp-serve": flow, "bare echo": echo}, options.requests, options.clients)
    print(text)
    if options.write:
        write_measured(PAGE, "benchmarks.serving", text)


if __name__ == "__main__":
    main()
