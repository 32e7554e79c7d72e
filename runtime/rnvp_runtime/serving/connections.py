"""HTTP connections whose clients send slowly, stop sending early, or send more than is read.

uvicorn limits the time between two requests of a connection, and not that of a request itself: a
client that sends a head byte by byte would keep its connection open. uvicorn also drops a
connection whose client has closed its sending side, though such a client still waits for the
answer. And it closes a connection at once after an answer that did not wait for the whole request,
such as a 413: TCP then resets the connection, and the client loses the answer (RFC 9112, section
9.6).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from rnvp_runtime.extras import import_extra

__all__ = ["timed_protocol"]


def _refusal(status: bytes, text: bytes) -> bytes:
    body = b'{"error":"%s"}' % text
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nconnection: close\r\n" % status
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


_LATE = _refusal(b"408 Request Timeout", b"the head of the request did not arrive in time")
_CUT = _refusal(b"400 Bad Request", b"the connection was closed before the end of the request")


class _LingeringTransport:
    """A transport that closes in two steps while its client sends.

    It first ends its own side, so that the client reads the answer to its end. It closes the
    connection when the client ends its side too, or after a time.
    """

    def __init__(self, transport: Any, is_sending: Callable[[], bool], seconds: float) -> None:
        self._transport = transport
        self._is_sending = is_sending
        self._seconds = seconds
        self._lingers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._lingers or bool(self._transport.is_closing())

    def close(self) -> None:
        """Close after what was written; while the client sends, in two steps."""
        if self.is_closing():
            return
        if not self._is_sending() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(self._seconds, self._transport.close)


def timed_protocol(seconds: float) -> type[Any]:
    """uvicorn's protocol on h11, which also answers slow, half-closed and refused clients.

    A head that takes longer than ``seconds`` is a 408. If the client closes its sending side, a
    whole request is answered, and a part of one is a 400. After an answer that ends the connection
    before the request was whole, what the client still sends is dropped for up to ``seconds``.
    """
    h11 = import_extra("h11")
    base = import_extra("uvicorn.protocols.http.h11_impl").H11Protocol

    class TimedProtocol(base):  # type: ignore[misc, valid-type]
        """A connection."""

        _timer: asyncio.TimerHandle | None = None
        _half_closed = False  # the client sends nothing more

        def connection_made(self, transport: Any) -> None:
            """A head is expected."""
            super().connection_made(_LingeringTransport(transport, self._is_sending, seconds))
            self._expect()

        def data_received(self, data: bytes) -> None:
            """A part of a head, or of a body."""
            if self.transport.is_closing():
                return
            if self._timer is None and self._is_idle():
                self._expect()
            super().data_received(data)
            if not self._is_idle():
                self._stop()

        def on_response_complete(self) -> None:
            """The connection stays open for another request, unless this one is still arriving."""
            super().on_response_complete()
            if self._half_closed:
                self._finish()
            elif self.conn.their_state is h11.SEND_BODY:
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            """Nothing is expected any more."""
            self._stop()
            super().connection_lost(exc)

        def eof_received(self) -> bool | None:
            """The client sends nothing more; true keeps the connection for the answer."""
            if self.transport.is_closing():
                return None
            self._half_closed = True
            return self._finish()

        def _finish(self) -> bool:
            """Answer what was sent of the next request; true if it was whole."""
            if self._is_idle():
                if self.conn.trailing_data[0]:  # a part of a head
                    self._refuse(_CUT)
                self.transport.close()
                return False
            if self.cycle.more_body:
                if not self.cycle.response_started:
                    self._refuse(_CUT)
                return False
            return True

        def _is_idle(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _is_sending(self) -> bool:
            """Whether a part of a request was read, or bytes that are no request."""
            partial = self.conn.their_state in (h11.SEND_BODY, h11.ERROR)
            return partial or bool(self.conn.trailing_data[0])

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
