"""HTTP connections that may not take for ever to send the head of a request.

uvicorn limits the time between two requests of a connection, and not that of a request itself. A
client that sends a head byte by byte would keep its connection open.
"""

import asyncio
from typing import Any

from rnvp_runtime.extras import import_extra

__all__ = ["timed_protocol"]

_TEXT = b'{"error":"the head of the request did not arrive in time"}'
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: " + str(len(_TEXT)).encode() + b"\r\n\r\n" + _TEXT
)


def timed_protocol(seconds: float) -> type[Any]:
    """uvicorn's protocol on h11, which answers 408 if a head takes longer than ``seconds``."""
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

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _expect(self) -> None:
            self._timer = self.loop.call_later(seconds, self._late)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            if self._is_idle() and not self.transport.is_closing():
                self.transport.write(_LATE)
                self.transport.close()

    return TimedProtocol
