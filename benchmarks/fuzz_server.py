"""A server without a network, which is sent what inputs of `fuzz.py` say."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.server.application import new_application, new_service
from int4_conformer.server.limits import Limits
from int4_conformer.server.model_facts import ModelFacts
from int4_conformer.server.service import Access

_NAME = "model"
_BOUNDARY = "x"


def seeds(sound: bytes) -> list[bytes]:
    """Valid requests, and messages of valid WebSockets, as JSON."""
    encoded = base64.b64encode(sound).decode()
    fields = {"model": _NAME, "response_format": "verbose_json", "bonus": "1", "only": "false"}
    words = [[{"text": "go", "start": 0.1, "end": 0.2}], [{"text": "on", "start": 1, "end": 2}]]
    samples = base64.b64encode(bytes(3200)).decode()
    predict = f"/v1/models/{_NAME}:predict"
    requests = [
        {"path": "/v1/audio/transcriptions", "fields": fields, "file": encoded},
        {
            "path": "/v1/audio/transcriptions",
            "fields": {"model": _NAME, "stream": "true", "timestamp_granularities[]": "word"},
            "file": encoded,
        },
        {"path": "/v1/subtitles/srt", "body": {"utterances": words}},
        {"path": "/v1/subtitles/vtt", "body": {"utterances": words}},
        {"path": predict, "body": {"instances": [[0.0, 0.1] * 400, {"pcm": [0.1], "length": 1}]}},
        {
            "path": predict,
            "body": {"signature_name": "transcribe_bytes", "instances": [{"b64": encoded}]},
        },
        {
            "path": predict,
            "body": {
                "signature_name": "beam",
                "inputs": {"pcm": [[0.1] * 800], "phrases": [["go"]], "bonus": [1.0]},
            },
        },
        {"path": "/", "headers": {"origin": "http://localhost", "host": "localhost"}},
        {"path": "/v1/models", "headers": {"authorization": "Bearer a", "content-length": "1"}},
        {"socket": [{"second_pass": False, "beam": None}, samples, {"type": "end"}]},
        {
            "socket": [
                {"sample_rate": 8000, "format": "s16le", "phrases": ["go [on]", "stop"]},
                samples,
                {"type": "end"},
            ]
        },
        {
            "socket": [
                {
                    "only": True,
                    "phrases": ["(one | two)+"],
                    "beam": 2,
                    "endpointing": {"after_words": 0.5},
                },
                samples,
                {"type": "end"},
            ]
        },
    ]
    return [json.dumps(request).encode() for request in requests]


class _FaultLogged(logging.Handler):
    """Raises what a server logs as a defect."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.fault = record.exc_info[1]


def server_of(model: Path) -> Callable[[bytes], Any]:
    """What has a server answer an input."""
    recognizers = [Recognizer(model)]
    facts = ModelFacts.of(model, recognizers[0], _NAME)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    limits = Limits(workers=1, read_seconds=10, idle_seconds=2, audio_seconds=5)
    application = new_application(new_service(recognizers, facts, limits, Access()))
    logged = _FaultLogged()
    logger = logging.getLogger("int4_conformer.server")
    logger.handlers, logger.propagate = [logged], False

    def act(content: bytes) -> None:
        logged.fault = None
        try:
            asked = json.loads(content)
        except (ValueError, RecursionError):
            asked = content
        if not isinstance(asked, dict):
            asked = {"path": "/v1/subtitles/srt", "raw": content}
        loop.run_until_complete(_answered(application, asked))
        if logged.fault is not None:
            raise logged.fault

    return act


async def _answered(application: Callable[..., Any], asked: dict[str, Any]) -> None:
    """Sends a request, or the messages of a WebSocket, and takes what is answered."""
    headers = [(b"host", b"localhost")]
    given = asked.get("headers")
    if isinstance(given, dict):
        # What a server of HTTP lets through has neither of these.
        headers = [
            tuple(text[:99].encode("latin-1", "replace") for text in (name.lower(), str(value)))
            for name, value in given.items()
        ]
    socket = asked.get("socket")
    path = str(asked.get("path", "/")).encode(errors="replace").decode()
    scope: dict[str, Any] = {"path": path, "headers": headers, "query_string": b"", "state": {}}
    scope |= {"client": ("127.0.0.1", 1), "server": ("localhost", 80), "root_path": ""}
    if isinstance(socket, list):
        scope |= {"type": "websocket", "path": "/v1/stream", "subprotocols": [], "scheme": "ws"}
        scope["extensions"] = {"websocket.http.response": {}}
        messages = [{"type": "websocket.connect"}, *map(_message, socket)]
        messages.append({"type": "websocket.disconnect", "code": 1000})
    else:
        body, kind = _body(asked)
        headers.append((b"content-type", kind))
        method = "POST" if body else "GET"
        scope |= {"type": "http", "method": method, "scheme": "http", "http_version": "1.1"}
        messages = [{"type": "http.request", "body": body, "more_body": False}]
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        for message in left:
            return message
        # The client waits for its answer.
        return await asyncio.get_running_loop().create_future()

    refused = False

    async def send(message: dict[str, Any]) -> None:
        nonlocal refused
        text = message.get("text") or ""
        text.encode()
        refused = refused or message.get("status", 200) >= 400 or '"type":"error"' in text

    await application(scope, receive, send)
    if refused:
        raise UserError("It was refused.")


def _message(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        return {"type": "websocket.receive", "bytes": _decoded(given)}
    return {"type": "websocket.receive", "text": json.dumps(given)}


def _body(asked: dict[str, Any]) -> tuple[bytes, bytes]:
    if "raw" in asked and isinstance(asked["raw"], bytes):
        return asked["raw"], b"application/json"
    if "fields" not in asked:
        return json.dumps(asked["body"]).encode() if "body" in asked else b"", b"application/json"
    fields = asked["fields"] if isinstance(asked["fields"], dict) else {"model": asked["fields"]}
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    sound = _decoded(asked.get("file"))
    body = "".join([*parts, head]).encode(errors="replace") + sound
    return body + f"\r\n--{_BOUNDARY}--\r\n".encode(), b"multipart/form-data; boundary=x"


def _decoded(given: Any) -> bytes:
    text = str(given).encode(errors="replace")
    try:
        return base64.b64decode(text)
    except ValueError:
        return text
