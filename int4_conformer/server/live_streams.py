"""`/v1/stream`: a WebSocket that hears speech, and says its words while it is spoken.

    client  {"sample_rate": 48000, "format": "s16le", "phrases": ["..."], ...}   once, first
    server  {"type": "ready", "model": "...", ...}
    client  samples, in messages of any length
    server  {"type": "partial", ...} and {"type": "final", ...}, as words come
    client  {"type": "end"}
    server  the last words, {"type": "end", "seconds": 12.3}, and closes

What goes wrong is {"type": "error", "error": {...}} before the server closes.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from int4_conformer.errors import UserError
from int4_conformer.lite.listening import Listener
from int4_conformer.lite.recognizer_stream import STEP_SECONDS, PartialResult
from int4_conformer.lite.result_json import ResultJson
from int4_conformer.lite.words import Recognition
from int4_conformer.search.grammar import Grammar
from int4_conformer.server import json_logs, refusals, request_fields
from int4_conformer.server.inbox import Inbox
from int4_conformer.server.recognizer_pool import StreamPlace
from int4_conformer.server.refusals import RefusedError
from int4_conformer.server.service import Service
from int4_conformer.server.stream_request import StreamRequest

# Codes with which a WebSocket is closed.
_NORMAL, _GOING_AWAY, _POLICY, _DEFECT, _TRY_AGAIN = 1000, 1001, 1008, 1011, 1013
_PROTOCOL = "int4-conformer"
# Steps of audio that are heard in one go, so that streams take turns.
_STEPS_AT_ONCE = 10
# No more words, of which a client has none to give.
_END = object()
_ENDING = object()


class LiveStreams:
    """Hears WebSockets.

    Args:
        service: whose recognisers hear them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, websocket: WebSocket) -> None:
        """Hears one, from its opening to its end."""
        noted = websocket.state.noted
        try:
            async with self._service.pool.stream() as place:
                offered = websocket.scope.get("subprotocols", [])
                await websocket.accept(_PROTOCOL if _PROTOCOL in offered else None)
                await self._heard(websocket, place, noted)
        except WebSocketDisconnect:
            noted["error"] = "client_gone"
        except RefusedError as refusal:
            # Before it was accepted.
            noted["error"] = refusal.code
            await websocket.send_denial_response(refusal.response())

    async def _heard(self, websocket: WebSocket, place: StreamPlace, noted: dict[str, Any]) -> None:
        try:
            await _Stream(self._service, websocket, place, noted).run()
            return
        except WebSocketDisconnect:
            raise
        except UserError as error:
            refusal, code = refusals.invalid(str(error)), _POLICY
        except RefusedError as error:
            refusal = error
            code = _TRY_AGAIN if error.status == 503 else _POLICY
        except Exception:
            json_logs.log_error("defect")
            refusal = RefusedError(500, "internal_error", "The server failed; tell who runs it.")
            code = _DEFECT
        noted["error"] = refusal.code
        await websocket.send_json({"type": "error", "error": refusal.body()})
        await websocket.close(code)


class _Stream:
    """One of them, once it is accepted."""

    def __init__(
        self, service: Service, websocket: WebSocket, place: StreamPlace, noted: dict[str, Any]
    ) -> None:
        self._service = service
        self._websocket = websocket
        self._place = place
        self._noted = noted
        self._inbox = Inbox(websocket)
        self._ending = asyncio.ensure_future(service.time_is_over.wait())
        # Bytes that are not heard yet, and samples that are.
        self._waiting = bytearray()
        self._samples = 0
        self._shown = ("", 0)
        self._is_open = False

    async def run(self) -> None:
        """From its opening message to its end."""
        try:
            await self._run()
        finally:
            self._ending.cancel()
            self._inbox.close()

    async def _run(self) -> None:
        opening = await self._next(self._service.limits.read_seconds)
        if opening is _ENDING:
            raise refusals.ending()
        if not isinstance(opening, dict):
            raise UserError("The first message must be a JSON object, such as {}.")
        request = StreamRequest.of(opening)
        if request.model is not None:
            self._service.facts.require(request.model)

        def begin() -> tuple[Listener, Grammar | None]:
            listener = self._place.recognizer.listener(
                request.sample_rate,
                second_pass=request.second_pass,
                endpointing=request.endpointing,
                **request.search,
            )
            return listener, Grammar.of(request.search["phrases"]) if request.is_closed else None

        # Automata of many phrases take a while.
        listener, grammar = await self._place.run(begin)
        self._results = ResultJson(grammar)
        facts = self._service.facts
        await self._websocket.send_json(
            {
                "type": "ready",
                "model": facts.name,
                "hears_streams": facts.hears_streams,
                "sample_rate": request.sample_rate,
            }
        )
        await self._hear(request, listener)

    async def _hear(self, request: StreamRequest, listener: Listener) -> None:
        """Hears audio up to its end, and says what is heard."""
        limits = self._service.limits
        step = max(1, int(STEP_SECONDS * request.sample_rate)) * request.dtype.itemsize
        ended: str | None = None
        while ended is None:
            message = await self._next(limits.idle_seconds)
            if message is _END or message is _ENDING:
                ended = "end" if message is _END else "server_ending"
            elif isinstance(message, dict):
                raise UserError('After the first message, texts are {"type": "end"} alone.')
            else:
                self._waiting += message
            # Always as much at once, so that words do not depend on how audio came.
            while len(self._waiting) >= step:
                most = min(len(self._waiting) // step, _STEPS_AT_ONCE) * step
                await self._feed(request, listener, most, step)
            if self._samples >= limits.stream_seconds * request.sample_rate:
                ended = "longest"
        begun = time.monotonic()
        if len(self._waiting) % request.dtype.itemsize and ended == "end":
            raise UserError(
                f"The audio ends within a sample of {request.dtype.itemsize} bytes; look at "
                "`format`."
            )
        whole = len(self._waiting) // request.dtype.itemsize * request.dtype.itemsize
        if whole:
            await self._feed(request, listener, whole, whole)
        await self._finish(listener)
        self._service.metrics.response.observe(time.monotonic() - begun)
        seconds = round(self._samples / request.sample_rate, 3)
        await self._websocket.send_json({"type": "end", "reason": ended, "seconds": seconds})
        await self._websocket.close(_GOING_AWAY if ended == "server_ending" else _NORMAL)

    async def _feed(self, request: StreamRequest, listener: Listener, size: int, step: int) -> None:
        """Has so many bytes of what waits heard, step by step."""
        content = bytes(self._waiting[:size])
        del self._waiting[:size]

        def hear() -> list[PartialResult]:
            found = []
            for start in range(0, size, step):
                samples = np.frombuffer(content[start : start + step], request.dtype)
                found.append(listener.feed(_native(samples)))
                while found[-1].endpoint is not None:
                    found.append(listener.feed(np.zeros([0], np.float32)))
            return found

        await self._tell(await self._place.run(hear))
        self._samples += size // request.dtype.itemsize
        self._noted["audio_seconds"] = round(self._samples / request.sample_rate, 3)

    async def _finish(self, listener: Listener) -> None:
        def finish() -> list[PartialResult]:
            found = [listener.finish()]
            while found[-1].endpoint is not None:
                found.append(listener.finish())
            return found

        *before, last = await self._place.run(finish)
        await self._tell(before)
        if last.text or self._is_open:
            await self._say(last)

    async def _tell(self, results: Iterable[PartialResult]) -> None:
        """Sends utterances that have ended, and the last words that may change."""
        partial = None
        for result in results:
            if result.endpoint is None:
                partial = result
            else:
                partial = None
                await self._say(result)
        if partial is None:
            return
        news = partial.text, len(partial.final)
        if news != self._shown:
            self._shown, self._is_open = news, True
            await self._websocket.send_json(self._results.partial(partial))

    async def _say(self, result: PartialResult) -> None:
        """Sends an utterance that has ended."""
        self._shown, self._is_open = ("", 0), False
        found = Recognition(text=result.text, words=result.final_words)
        if self._service.access.log_words:
            self._noted.setdefault("text", []).append(result.text)
        # A grammar is matched there, which may take a while.
        final = await self._place.run(lambda: self._results.final(found, result.endpoint))
        await self._websocket.send_json(final)

    async def _next(self, seconds: float) -> Any:
        """The next message: bytes, an object, `_END`, or `_ENDING` where the server ends."""
        receiving = asyncio.ensure_future(self._inbox.get())
        try:
            await asyncio.wait(
                {receiving, self._ending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not receiving.done():
                if self._ending.done():
                    return _ENDING
                raise RefusedError(
                    408, "idle", f"Nothing came for {seconds:g} s; send audio, silence too."
                )
            message = receiving.result()
        finally:
            receiving.cancel()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if (content := message.get("bytes")) is not None:
            return content
        given = request_fields.parsed(message["text"])
        if given.get("type") == "end":
            request_fields.require_known(given, ("type",))
            return _END
        return given


def _native(samples: np.ndarray) -> np.ndarray:
    """Samples in the byte order of this machine."""
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)
