"""`POST /v1/models/NAME:predict`: requests of TF Serving's REST, as our SavedModels answer them.

A row that is no good has a sentence in `error`, and the others are answered.
"""

import base64
import binascii
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.lite.recognizer import Recognizer
from int4_conformer.lite.words import Recognition
from int4_conformer.search.beam_config import BIAS_SCORE, BeamConfig
from int4_conformer.server import request_fields
from int4_conformer.server.heard_files import hear, while_connected
from int4_conformer.server.refusals import RefusedError
from int4_conformer.server.service import Service
from int4_conformer.server.uploaded_audio import Work, decoded, require_length

# By signature, its inputs; the first one has to be there, and may stand alone.
_INPUTS = {
    interface.SERVING_DEFAULT: (interface.PCM, interface.LENGTH),
    interface.TRANSCRIBE_PCM16: (interface.PCM, interface.LENGTH),
    interface.TRANSCRIBE_BYTES: (interface.AUDIO_BYTES,),
    interface.BEAM: (interface.PCM, interface.LENGTH, interface.PHRASES, interface.BONUS),
}
_MOST_ROWS = 256
_HYPOTHESES = 4
_BEAM = BeamConfig(n_best=_HYPOTHESES)
_BYTES = "b64"

_Row = Mapping[str, Any]


class TfServingRequests:
    """Answers them.

    Args:
        service: hears them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response:
        """The answer to one."""
        self._service.facts.require(request.path_params["name"])
        content = await request.body()
        noted, work = request.state.noted, Work()

        def job(recognizer: Recognizer) -> bytes:
            return self._answer(recognizer, content, noted, work)

        answer = hear(self._service, noted, work, job)
        return Response(
            await while_connected(self._service, request, answer), media_type="application/json"
        )

    def _answer(
        self, recognizer: Recognizer, content: bytes, noted: dict[str, Any], work: Work
    ) -> bytes:
        asked = request_fields.parsed(content)
        request_fields.require_known(asked, ("signature_name", "instances", "inputs"))
        signature = request_fields.field(asked, "signature_name", str, interface.SERVING_DEFAULT)
        if signature not in _INPUTS:
            raise RefusedError(
                400,
                "unknown_signature",
                f"There is no signature {signature[:40]!r}; there are {', '.join(_INPUTS)}.",
            )
        is_columns = asked.get("inputs") is not None
        if is_columns == (asked.get("instances") is not None):
            raise UserError("Give either `instances`, a list of rows, or `inputs`, columns.")
        rows = (_of_columns if is_columns else _of_rows)(asked, _INPUTS[signature])
        if not 0 < len(rows) <= _MOST_ROWS:
            raise UserError(f"A request has 1 to {_MOST_ROWS} rows. Received: {len(rows)}")
        limit = self._service.limits.audio_seconds
        answers, heard = [], 0.0
        for row in rows:
            work.look()
            found, seconds, error = [], 0.0, ""
            try:
                samples = _samples(row, signature, recognizer.sample_rate, limit, work)
                seconds = len(samples) / recognizer.sample_rate
                # All rows together may last as long as one recording.
                require_length(heard + seconds, limit)
                found = _recognized(recognizer, samples, row, signature)
            except UserError as wrong:
                error = str(wrong)
            heard += seconds
            answers.append((found, error))
        noted["audio_seconds"] = round(heard, 3)
        if self._service.access.log_words:
            noted["text"] = [found[0].text if found else "" for found, _ in answers]
        given = list((_beam_rows if signature == interface.BEAM else _greedy_rows)(answers))
        if is_columns:
            answer: Any = {"outputs": {name: [row[name] for row in given] for name in given[0]}}
        else:
            answer = {"predictions": given}
        # -inf is written as TF Serving writes it.
        return json.dumps(answer, ensure_ascii=False).encode()


def _of_rows(asked: Mapping[str, Any], names: tuple[str, ...]) -> list[_Row]:
    rows = []
    for value in request_fields.field(asked, "instances", list, []):
        is_named = isinstance(value, dict) and _BYTES not in value
        row = value if is_named else {names[0]: value}
        request_fields.require_known(row, names)
        rows.append(row)
    return rows


def _of_columns(asked: Mapping[str, Any], names: tuple[str, ...]) -> list[_Row]:
    columns = asked["inputs"]
    if not isinstance(columns, dict) or _BYTES in columns:
        columns = {names[0]: columns}
    request_fields.require_known(columns, names)
    if not all(isinstance(column, list) for column in columns.values()):
        raise UserError("Each of `inputs` must be a list, with a value for each row.")
    count = len(columns.get(names[0], []))
    for name, column in columns.items():
        # One value does for all rows, where the signature has [1].
        if len(column) not in (1, count):
            raise UserError(f"`{name}` has {len(column)} rows, and `{names[0]}` {count}.")
    return [
        {name: column[row if len(column) == count else 0] for name, column in columns.items()}
        for row in range(count)
    ]


def _samples(row: _Row, signature: str, rate: int, most_seconds: float, work: Work) -> np.ndarray:
    """float32 or int16 `[samples]` of a row, at the model's rate."""
    name = _INPUTS[signature][0]
    if row.get(name) is None:
        raise UserError(f"The row has no `{name}`.")
    if name == interface.AUDIO_BYTES:
        return decoded(io.BytesIO(_content(row[name])), rate, most_seconds, work)
    is_pcm16 = signature == interface.TRANSCRIBE_PCM16
    try:
        samples = np.asarray(row[name])
        if samples.ndim != 1 or samples.dtype.kind not in ("iu" if is_pcm16 else "iuf"):
            raise ValueError
        if is_pcm16 and (np.abs(samples.astype(np.int64)) > 32768).any():
            raise ValueError
    except (ValueError, TypeError, OverflowError) as error:
        numbers = "16-bit whole numbers" if is_pcm16 else "numbers in [-1, 1]"
        raise UserError(f"`{name}` must be a list of {numbers}.") from error
    samples = samples.astype(np.int16 if is_pcm16 else np.float32)
    length = request_fields.whole_number(row, interface.LENGTH, -1)
    if not -1 <= length <= len(samples):
        raise UserError(f"`{interface.LENGTH}` must be in [-1, {len(samples)}]. Received: {length}")
    samples = samples if length < 0 else samples[:length]
    if not len(samples):
        raise UserError("The row holds no samples.")
    return samples


def _content(value: Any) -> bytes:
    if not isinstance(value, dict) or not isinstance(value.get(_BYTES), str):
        raise UserError('Bytes are written as {"b64": "..."}, in base64.')
    try:
        return base64.b64decode(value[_BYTES], validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError("The value of b64 is no base64.") from error


def _recognized(
    recognizer: Recognizer, samples: np.ndarray, row: _Row, signature: str
) -> list[Recognition]:
    search: dict[str, Any] = {}
    if signature == interface.BEAM:
        given = request_fields.field(row, interface.PHRASES, list, [])
        search = {
            "phrases": request_fields.phrases(given),
            "bonus": request_fields.number(row, interface.BONUS, BIAS_SCORE),
            "beam": _BEAM,
        }
    found = recognizer.recognize(samples, recognizer.sample_rate, **search)
    return [found, *found.alternatives]


def _greedy_rows(answers: list[tuple[list[Recognition], str]]) -> Iterator[dict[str, Any]]:
    """Outputs of `serving_default`; rows have as many places as the longest has words."""
    words = [found[0].words if found else () for found, _ in answers]
    places = max(map(len, words))

    def column(said: tuple, value: Callable[[Any], Any], empty: Any) -> list[Any]:
        return [value(word) for word in said] + [empty] * (places - len(said))

    for said, (found, error) in zip(words, answers, strict=True):
        yield {
            interface.TEXT: found[0].text if found else "",
            interface.WORDS: column(said, lambda word: word.text, ""),
            interface.WORD_COUNT: len(said),
            interface.STARTS: column(said, lambda word: word.start, 0.0),
            interface.ENDS: column(said, lambda word: word.end, 0.0),
            interface.CONFIDENCES: column(said, lambda word: word.confidence, 0.0),
            interface.ERROR: error,
        }


def _beam_rows(answers: list[tuple[list[Recognition], str]]) -> Iterator[dict[str, Any]]:
    """Outputs of `beam`, with as many hypotheses in each row."""
    for found, error in answers:
        missing = _HYPOTHESES - len(found)
        scores = [-np.inf if one.score is None else one.score for one in found]
        yield {
            interface.TEXTS: [one.text for one in found] + [""] * missing,
            interface.SCORES: scores + [-np.inf] * missing,
            interface.ERROR: error,
        }
