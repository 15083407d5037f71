"""The forms of a transcription that OpenAI's clients know."""

import math
import zlib
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from int4_conformer.lite.subtitles import Subtitles, cues
from int4_conformer.lite.words import Recognition, Word


def answer(
    found: Recognition, form: str, granularities: Sequence[str], duration: float
) -> Response:
    """What was said in a recording.

    Args:
        found: that.
        form: "json", "verbose_json", "text", "srt" or "vtt".
        granularities: "word", "segment": what the verbose form has times of.
        duration: of the recording in seconds.
    """
    if form == "text":
        return PlainTextResponse(f"{found.text}\n")
    if form in ("srt", "vtt"):
        subtitles = Subtitles(form)
        return PlainTextResponse(subtitles.head() + subtitles.of(found.words))
    usage = {"type": "duration", "seconds": round(duration, 3)}
    if form == "json":
        return JSONResponse({"text": found.text, "usage": usage})
    return JSONResponse(_verbose(found, granularities, duration) | {"usage": usage})


def _verbose(found: Recognition, granularities: Sequence[str], duration: float) -> dict[str, Any]:
    verbose: dict[str, Any] = {
        "task": "transcribe",
        # Models know one, and do not say which.
        "language": "unknown",
        "duration": round(duration, 3),
        "text": found.text,
    }
    if "word" in granularities:
        verbose["words"] = [
            {
                "word": word.text,
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "confidence": round(word.confidence, 4),
            }
            for word in found.words
        ]
    if "segment" in granularities:
        verbose["segments"] = _segments(found.words)
    if found.match is not None:
        verbose |= {"phrase": found.match.phrase, "slots": found.match.slots}
    return verbose


def _segments(words: Sequence[Word]) -> list[dict[str, Any]]:
    """Parts of the text as subtitles have them."""
    segments = []
    for number, cue in enumerate(cues(words)):
        said = [word for word in words if cue.start <= word.start < cue.end]
        text = " ".join(cue.lines)
        raw = text.encode()
        segments.append(
            {
                "id": number,
                "seek": 0,
                "start": round(cue.start, 3),
                "end": round(cue.end, 3),
                "text": text,
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": _mean_log_confidence(said),
                "compression_ratio": round(len(raw) / len(zlib.compress(raw)), 3),
                "no_speech_prob": 0.0,
            }
        )
    return segments


def _mean_log_confidence(words: Sequence[Word]) -> float:
    if not words:
        return 0.0
    logs = [math.log(max(word.confidence, 1e-9)) for word in words]
    return round(sum(logs) / len(logs), 4)
