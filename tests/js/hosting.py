"""A static host on this machine."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

__all__ = ["Habits", "serving"]


@dataclass(frozen=True)
class Habits:
    """The behaviour of a host.

    Attributes:
        rate: The maximum rate of each file in bytes per second.
        headers: Headers of every answer.
        types: MIME types by suffix, in place of the usual ones.
        seen: A list for the requests: the path with its query, and the headers.
        sent: A list for the bytes of each file that was sent completely; needs a rate.
        permitted: Whether a request is answered; otherwise the answer is 403.
    """

    rate: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    seen: list[tuple[str, Message]] | None = None
    sent: list[int] | None = None
    permitted: Callable[[str, Message], bool] = lambda path, headers: True


@contextmanager
def serving(root: Path, rate: float | None = None, **habits: Any) -> Iterator[str]:
    """The URL of a host that serves ``root``; ``habits`` are the fields of `Habits`."""
    handler = partial(Handler, Habits(rate, **habits), directory=str(root))
    with Server(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Handler(SimpleHTTPRequestHandler):
    """A handler with fixed MIME types of scripts and wasm, independent of this machine's table."""

    USUAL = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, habits: Habits, *args: Any, **options: Any) -> None:
        self.habits, self.rate = habits, habits.rate
        self.extensions_map = self.USUAL | dict(habits.types)
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        if self.habits.seen is not None:
            self.habits.seen.append((self.path, self.headers))
        if self.habits.permitted(self.path, self.headers):
            super().do_GET()
        else:
            self.send_error(403)

    def end_headers(self) -> None:
        for name, value in self.habits.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        if self.rate is None:
            super().copyfile(source, outputfile)
            return
        began, sent = time.monotonic(), 0
        while part := source.read(65536):
            outputfile.write(part)
            sent += len(part)
            time.sleep(max(0, began + sent / self.rate - time.monotonic()))
        if self.habits.sent is not None:
            self.habits.sent.append(sent)

    def log_message(self, *_: Any) -> None:
        """Write no log."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Ignore a browser that closes the connection during an answer."""
