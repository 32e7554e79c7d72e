"""A static host on this machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

__all__ = ["serving"]


@contextmanager
def serving(root: Path, rate: float | None = None) -> Iterator[str]:
    """The URL of a host that serves ``root``, each file at ``rate`` bytes a second at most."""
    with Server(("127.0.0.1", 0), partial(Handler, rate, directory=str(root))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Handler(SimpleHTTPRequestHandler):
    """Knows what scripts and wasm are, whatever this machine's table of types says."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, rate: float | None, *args: Any, **options: Any) -> None:
        self.rate = rate
        super().__init__(*args, **options)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        if self.rate is None:
            super().copyfile(source, outputfile)
            return
        began, sent = time.monotonic(), 0
        while part := source.read(65536):
            outputfile.write(part)
            sent += len(part)
            time.sleep(max(0, began + sent / self.rate - time.monotonic()))

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A browser that goes away in the middle of an answer is no fault of ours."""
