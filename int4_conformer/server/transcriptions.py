"""`POST /v1/audio/transcriptions`, as OpenAI's clients send it."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import numpy as np
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.words import Recognition
from int4_conformer.server import json_logs, transcription_answers
from int4_conformer.server.heard_files import cancelled, hear, while_connected
from int4_conformer.server.refusals import RefusedError
from int4_conformer.server.service import Service
from int4_conformer.server.transcription_request import TranscriptionRequest
from int4_conformer.server.uploaded_audio import Work, decoded

_FIELDS, _FIELD_BYTES = 6000, 100_000
# Audio of a streamed answer that is heard between two looks at the client.
_STEP_SECONDS = 1.0

# Gets what is added to a text.
_Tell = Callable[[str], None]
# Server-sent ones.
_Events = AsyncGenerator[bytes, None]


class Transcriptions:
    """Answers requests for transcriptions.

    Args:
        service: hears them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response:
        """The answer to a form with a recording."""
        kind = request.headers.get("content-type", "")
        if not kind.lower().startswith("multipart/form-data"):
            raise RefusedError(
                415, "unsupported_media_type", "Send the recording as multipart/form-data."
            )
        limits = {"max_files": 1, "max_fields": _FIELDS, "max_part_size": _FIELD_BYTES}
        form = await request.form(**limits)
        is_handed_on = False
        try:
            asked = TranscriptionRequest.of(form)
            self._service.facts.require(asked.model)
            if asked.is_streamed:
                events = self._events(request, asked)
                # What cannot be answered is refused before an answer begins.
                first = await while_connected(self._service, request, anext(events))
                is_handed_on = True
                return _EventStream(_sent(first, events, form), media_type="text/event-stream")
            return await while_connected(self._service, request, self._whole(request, asked))
        finally:
            if not is_handed_on:
                await form.close()

    async def _whole(self, request: Request, asked: TranscriptionRequest) -> Response:
        """All words at once."""
        noted, work = request.state.noted, Work()

        def job(recognizer: Recognizer) -> tuple[Recognition, float]:
            samples = self._decoded(asked, recognizer, noted, work)
            rate = recognizer.sample_rate
            step = int(_STEP_SECONDS * rate)

            def blocks() -> Iterator[np.ndarray]:
                for start in range(0, len(samples), step):
                    work.look()
                    yield samples[start : start + step]

            found = recognizer.recognize_long(blocks(), rate, **asked.search)
            return found, len(samples) / rate

        found, duration = await hear(self._service, noted, work, job)
        self._note_words(noted, found.text)
        return transcription_answers.answer(found, asked.form, asked.granularities, duration)

    async def _events(self, request: Request, asked: TranscriptionRequest) -> _Events:
        """Words as they are settled, and all of them in the end, as server-sent events."""
        noted, work = request.state.noted, Work()
        loop = asyncio.get_running_loop()
        deltas: asyncio.Queue[str | None] = asyncio.Queue()

        def tell(delta: str | None) -> None:
            loop.call_soon_threadsafe(deltas.put_nowait, delta)

        def job(recognizer: Recognizer) -> str:
            try:
                samples = self._decoded(asked, recognizer, noted, work)
                return _told(recognizer, samples, asked.search, work, tell)
            finally:
                tell(None)

        answer = asyncio.ensure_future(hear(self._service, noted, work, job))
        # Also where it is refused before the job begins.
        answer.add_done_callback(lambda done: deltas.put_nowait(None))
        try:
            while (delta := await deltas.get()) is not None:
                yield _event({"type": "transcript.text.delta", "delta": delta})
            text = await answer
            self._note_words(noted, text)
            yield _event({"type": "transcript.text.done", "text": text})
            yield b"data: [DONE]\n\n"
        finally:
            await cancelled(answer)

    def _decoded(
        self,
        asked: TranscriptionRequest,
        recognizer: Recognizer,
        noted: dict[str, Any],
        work: Work,
    ) -> np.ndarray:
        rate, most = recognizer.sample_rate, self._service.limits.audio_seconds
        samples = decoded(asked.file.file, rate, most, work)
        noted["audio_seconds"] = round(len(samples) / rate, 3)
        return samples

    def _note_words(self, noted: dict[str, Any], text: str) -> None:
        if self._service.access.log_words:
            noted["text"] = text


def _told(
    recognizer: Recognizer, samples: np.ndarray, search: dict[str, Any], work: Work, tell: _Tell
) -> str:
    """The text of a recording; tells what is added to it, as soon as that is settled."""
    rate, told = recognizer.sample_rate, ""
    if not recognizer.hears_streams:
        told = recognizer.recognize(samples, rate, **search).text
        tell(told)
        return told
    stream = recognizer.stream(rate, **search)
    step = int(_STEP_SECONDS * rate)
    for start in range(0, len(samples), step):
        work.look()
        final = stream.feed(samples[start : start + step]).final
        if len(final) > len(told):
            tell(final[len(told) :])
            told = final
    final = stream.finish().final
    if len(final) > len(told):
        tell(final[len(told) :])
    return final


class _EventStream(StreamingResponse):
    """Ends its events also where the client goes between two of them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self.body_iterator.aclose()


async def _sent(first: bytes, events: _Events, form: FormData) -> AsyncIterator[bytes]:
    """Events, the last of which tells if something went wrong between."""
    try:
        yield first
        async for event in events:
            yield event
    except (RefusedError, UserError) as error:
        refusal = error if isinstance(error, RefusedError) else RefusedError(400, "bad", str(error))
        yield _event({"error": refusal.body()})
    except Exception:
        json_logs.log_error("defect")
        yield _event({"error": RefusedError(500, "internal_error", "The server failed.").body()})
    finally:
        await events.aclose()
        await form.close()


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
