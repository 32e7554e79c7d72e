"""HTTP connections with slow clients, and with clients that close their sending side early.

uvicorn limits the time between two requests of a connection, and not that of a request itself: a
client that sends a head byte by byte would keep its connection open. uvicorn also drops a
connection whose client has closed its sending side, though such a client still waits for the
answer.
"""

import asyncio
from typing import Any

from rnvp_runtime.extras import import_extra

__all__ = ["timed_protocol"]


def _refusal(status: bytes, text: bytes) -> bytes:
    body = b'{"error":"%s"}' % text
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\n" % status
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


_LATE = _refusal(b"408 Request Timeout", b"the head of the request did not arrive in time")
_CUT = _refusal(b"400 Bad Request", b"the connection was closed before the end of the request")


def timed_protocol(seconds: float) -> type[Any]:
    """uvicorn's protocol on h11, which also answers slow and half-closed clients.

    A head that takes longer than ``seconds`` is a 408. If the client closes its sending side, a
    whole request is answered, and a part of one is a 400.
    """
    base = import_extra("uvicorn.protocols.http.h11_impl").H11Protocol

    class TimedProtocol(base):  # type: ignore[misc, valid-type]
        """A connection."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            """A head is expected."""
            super().connection_made(transport)
            self._expect()

        def data_received(self, data: bytes) -> None:
            """A part of a head, or of a body."""
            if self._timer is None and self._is_idle():
                self._expect()
            super().data_received(data)
            if not self._is_idle():
                self._stop()

        def connection_lost(self, exc: Exception | None) -> None:
            """Nothing is expected any more."""
            self._stop()
            super().connection_lost(exc)

        def eof_received(self) -> bool | None:
            """The client sends nothing more; true keeps the connection for the answer."""
            if self._is_idle():
                if self.conn.trailing_data[0]:  # a part of a head
                    self._refuse(_CUT)
                return None
            if self.cycle.more_body:
                if not self.cycle.response_started:
                    self._refuse(_CUT)
                return None
            self.cycle.keep_alive = False
            return True

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _expect(self) -> None:
            self._timer = self.loop.call_later(seconds, self._late)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            if self._is_idle():
                self._refuse(_LATE)

        def _refuse(self, answer: bytes) -> None:
            if not self.transport.is_closing():
                self.transport.write(answer)
                self.transport.close()

    return TimedProtocol
