"""`POST /v1/subtitles/srt` and `/vtt`: subtitles of words that a stream has told."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from int4_conformer.errors import UserError
from int4_conformer.lite.subtitles import Format, Subtitles
from int4_conformer.lite.words import Word
from int4_conformer.server import request_fields
from int4_conformer.server.refusals import RefusedError

_FORMS = ("srt", "vtt")


async def subtitle_file(request: Request) -> Response:
    """The file of `{"utterances": [[{"text", "start", "end"}, ...], ...]}`."""
    form = request.path_params["form"]
    if form not in _FORMS:
        raise RefusedError(404, "not_found", f"Subtitles are one of {', '.join(_FORMS)}.")
    content = await request.body()
    # In a thread of its own: words of hours take a while.
    return PlainTextResponse(await run_in_threadpool(_subtitles, content, form))


def _subtitles(content: bytes, form: Format) -> str:
    asked = request_fields.parsed(content)
    request_fields.require_known(asked, ("utterances",))
    subtitles = Subtitles(form)
    parts = [subtitles.head()]
    for utterance in request_fields.field(asked, "utterances", list, []):
        if not isinstance(utterance, list):
            raise UserError("`utterances` must be a list of lists of words.")
        parts.append(subtitles.of([_word(given) for given in utterance]))
    return "".join(parts)


def _word(given: Any) -> Word:
    if not isinstance(given, Mapping):
        raise UserError('A word must be an object, {"text": "go", "start": 0.4, "end": 0.5}.')
    text = request_fields.field(given, "text", str, "")
    start, end = (request_fields.number(given, name, None) for name in ("start", "end"))
    if not text or start is None or end is None or not 0 <= start <= end <= 1e6:
        raise UserError("A word must have a `text`, a `start` from 0 on, and an `end` behind it.")
    return Word(text=text, start=start, end=end, confidence=1.0)
