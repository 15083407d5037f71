"""Connections that do not keep a server waiting: what uvicorn leaves open, is closed in time."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from int4_conformer.server import refusals
from int4_conformer.server.limits import Limits
from int4_conformer.server.refusals import RefusedError


class _Timer:
    """Calls something so many seconds later, unless it is stopped before."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds = seconds
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_later(self._seconds, self._call)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class _TakenInTime:
    """Of a protocol of uvicorn's: what is sent has to be taken within so many seconds."""

    taken_seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._taken = _Timer(self.taken_seconds, transport.abort)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taken.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken.stop()

    def connection_lost(self, error: Exception | None) -> None:
        self._taken.stop()
        super().connection_lost(error)


def http_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn's protocol of HTTP/1.1, within limits.

    The head of a request has to be there in time, and answers have to be taken: else the connection
    is closed. One that is too many is told so.
    """

    class Connection(_TakenInTime, H11Protocol):
        taken_seconds = limits.read_seconds

        def connection_made(self, transport: asyncio.Transport) -> None:
            self._head = _Timer(limits.read_seconds, transport.abort)
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.write(_TOO_MANY)
                transport.close()
            else:
                self._head.start()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            is_http = self.transport.get_protocol() is self
            if is_http and (self.cycle is None or self.cycle.response_complete):
                # The next head has begun.
                self._head.start()
            else:
                self._head.stop()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # From here on uvicorn's own limit of idle connections holds.
            self._head.stop()

        def send_400_response(self, msg: str) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_NO_HTTP)
            self.transport.close()

        def connection_lost(self, error: Exception | None) -> None:
            self._head.stop()
            super().connection_lost(error)

    return Connection


def websocket_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn's protocol of WebSockets; words have to be taken in time."""

    class Connection(_TakenInTime, WebSocketsSansIOProtocol):
        taken_seconds = limits.read_seconds

    return Connection


def _answer(refusal: RefusedError) -> bytes:
    """A whole response, where there is no request that an application could answer."""
    body = json.dumps({"error": refusal.body()}).encode()
    head = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


_TOO_MANY = _answer(
    refusals.busy("too_many_connections", "Too many connections at once; ask again later.")
)
_NO_HTTP = _answer(refusals.invalid("This is no request of HTTP/1.1; look at its head."))
