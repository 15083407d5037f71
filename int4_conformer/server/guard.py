"""What stands before the answers: who may ask, how much, for how long; and what is noted of it."""

import asyncio
import contextlib
import hmac
import time
import uuid
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from int4_conformer.server import json_logs, page_files, refusals
from int4_conformer.server.refusals import RefusedError
from int4_conformer.server.service import Service

# A WebSocket of a page cannot send headers; its token is a protocol behind this.
BEARER_PROTOCOL = "bearer."
# What is asked of a server that may be ending, by whoever may ask.
_HEALTH = ("/healthz", "/readyz")
_OPEN = (*page_files.PATHS, *_HEALTH)
_MODELS = "/v1/models"
# Other paths, by which requests are counted.
_KNOWN = (
    _MODELS,
    "/v1/audio/transcriptions",
    "/v1/stream",
    "/v1/subtitles/srt",
    "/v1/subtitles/vtt",
    "/metrics",
)
# Of the body of a request that is refused.
_DISCARD_BYTES = 1 << 20
_DISCARD_SECONDS = 1.0


class Guard:
    """Lets requests through to an application, within the limits of a service.

    What an endpoint puts into `scope["state"]["noted"]` is logged with its request.

    Args:
        app: answers them.
        service: that is guarded.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._service)
        service = self._service
        service.active += 1
        service.metrics.active.inc()
        try:
            try:
                self._check(scope)
            except RefusedError as refusal:
                request.noted["error"] = refusal.code
                await _refuse(refusal, scope, receive, request.send)
            else:
                await self._app(scope, request.receive, request.send)
        finally:
            service.active -= 1
            service.metrics.active.dec()
            request.end()

    def _check(self, scope: Scope) -> None:
        """Refuses what the head of a request tells."""
        service, path = self._service, scope["path"]
        if path in _HEALTH:
            return
        if service.is_ending:
            raise refusals.ending()
        if service.active > service.limits.requests + service.limits.streams:
            raise refusals.busy("too_many_requests", "Too many requests at once; ask again later.")
        self._check_origin(scope)
        if service.access.token is not None and path not in _OPEN:
            given = _given_token(scope).encode()
            if not hmac.compare_digest(given, service.access.token.encode()):
                raise RefusedError(
                    401,
                    "invalid_api_key",
                    'This server asks for a token; send the header "Authorization: Bearer TOKEN".',
                    {"WWW-Authenticate": "Bearer"},
                )
        length = _header(scope, b"content-length")
        if length.isdecimal() and int(length) > service.limits.body_bytes:
            raise _too_large(service)

    def _check_origin(self, scope: Scope) -> None:
        """Refuses pages of other hosts, which a browser would let ask in its user's name."""
        origin = _header(scope, b"origin")
        host = _header(scope, b"host")
        if not origin or _host_of(origin) == host:
            return
        if origin not in self._service.access.origins:
            raise RefusedError(
                403,
                "foreign_origin",
                "Pages of other hosts may not ask this server; its --origins names those that may.",
            )


class _Request:
    """One request on its way: what it sends is counted, and timed."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._service = service
        self._begun = time.monotonic()
        self._bytes = 0
        self._is_whole = scope["type"] == "websocket"
        self._status = 499  # What nginx notes of clients that have gone.
        self.noted: dict[str, Any] = {}
        scope.setdefault("state", {})["noted"] = self.noted

    async def receive(self) -> Message:
        """What the client sends; a body has to come in time, and not to be too much."""
        if self._is_whole:
            return await self._receive()
        limits = self._service.limits
        left = self._begun + limits.read_seconds - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.0))
        except asyncio.TimeoutError as error:
            raise RefusedError(
                408,
                "read_timeout",
                f"The request was not there within {limits.read_seconds:g} s; send it at once.",
                {"Connection": "close"},
            ) from error
        if message["type"] == "http.request":
            count = len(message.get("body", b""))
            self._bytes += count
            self._service.body_bytes += count
            self._is_whole = not message.get("more_body", False)
            if self._bytes > limits.body_bytes:
                raise _too_large(self._service)
            if self._service.body_bytes > limits.bodies_bytes:
                message = "Too many bytes come at once; ask again later."
                raise refusals.busy("too_many_bytes", message)
        return message

    async def send(self, message: Message) -> None:
        """What the client is sent."""
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
        elif message["type"] == "websocket.accept":
            self._status = 101
        elif message["type"] == "websocket.close" and self._status != 101:
            # What is closed before it was accepted: there is no such path.
            self._status = 403
        await self._send(message)

    def end(self) -> None:
        """Notes what has become of it."""
        self._service.body_bytes -= self._bytes
        seconds = time.monotonic() - self._begun
        endpoint, metrics = _endpoint(self._scope), self._service.metrics
        metrics.requests.labels(endpoint, self._status).inc()
        metrics.seconds.labels(endpoint).observe(seconds)
        if "error" in self.noted:
            metrics.refused.labels(self.noted["error"]).inc()
        if heard := self.noted.get("audio_seconds"):
            metrics.audio.labels(endpoint).inc(heard)
        if self._scope["path"] in _HEALTH and self._status == 200:
            return
        json_logs.log(
            "request",
            id=uuid.uuid4().hex[:12],
            endpoint=endpoint,
            method=self._scope.get("method", "WEBSOCKET"),
            status=self._status,
            seconds=round(seconds, 4),
            bytes=self._bytes,
            client=(self._scope.get("client") or [None])[0],
            **self.noted,
        )


async def _refuse(refusal: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    response: Response = refusal.response(is_tf_serving=scope["path"].endswith(":predict"))
    if scope["type"] == "websocket":
        # Its head is read before it can be answered.
        await receive()
    else:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_discard(receive), _DISCARD_SECONDS)
    await response(scope, receive, send)


async def _discard(receive: Receive) -> None:
    """Reads a body that is not too large: clients that are answered while they send, after which
    uvicorn closes their connection, may see it closed and no answer."""
    count = 0
    while count < _DISCARD_BYTES:
        message = await receive()
        count += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _too_large(service: Service) -> RefusedError:
    return RefusedError(
        413,
        "body_too_large",
        f"The request has more than {service.limits.body_bytes} bytes, which is the most that "
        "this server takes; send a compressed file, or stream it.",
        {"Connection": "close"},
    )


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        # Such as of "http://[".
        return None


def _given_token(scope: Scope) -> str:
    kind, _, token = _header(scope, b"authorization").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(BEARER_PROTOCOL):
            return protocol.removeprefix(BEARER_PROTOCOL)
    return ""


def _header(scope: MutableMapping[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _endpoint(scope: Scope) -> str:
    """The path, or a word for many: what clients ask for may be anything."""
    path = scope["path"]
    if path.startswith(f"{_MODELS}/"):
        return f"{_MODELS}/NAME:predict" if path.endswith(":predict") else f"{_MODELS}/NAME"
    return path if path in (*_KNOWN, *_OPEN) else "other"
