"""What OpenAI's clients ask for with a recording."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import FormData, UploadFile

from int4_conformer.errors import UserError, require_one_of
from int4_conformer.search.beam_config import BIAS_SCORE
from int4_conformer.server import request_fields

FORMATS = ("json", "verbose_json", "text", "srt", "vtt")
_GRANULARITIES = ("word", "segment")
# Of OpenAI's service, and of no use here: the model decides them, or has no such thing.
_UNHEEDED = (
    "chunking_strategy",
    "include",
    "known_speaker_names",
    "known_speaker_references",
    "language",
    "languages",
    "prompt",
    "temperature",
)
_KNOWN = (
    "file",
    "model",
    "response_format",
    "timestamp_granularities",
    "stream",
    "keywords",
    "only",
    "bonus",
    *_UNHEEDED,
)
_SWITCH = {"true": True, "1": True, "false": False, "0": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscriptionRequest:
    """The fields of a form, checked."""

    file: UploadFile
    # Its name.
    model: str
    # One of `FORMATS`.
    form: str
    # "word", "segment": what a verbose answer has times of.
    granularities: tuple[str, ...]
    # Whether words are told while they come.
    is_streamed: bool
    # Arguments of `Recognizer.recognize`.
    search: dict[str, Any]

    @classmethod
    def of(cls, form: FormData) -> "TranscriptionRequest":
        """Of a form; lists may be written as `name` or as `name[]`.

        Raises:
            UserError: a field is missing, unknown, or not what it has to be.
        """
        fields: dict[str, list[Any]] = {}
        for name, value in form.multi_items():
            fields.setdefault(name.removesuffix("[]"), []).append(value)
        request_fields.require_known({name.partition("[")[0]: None for name in fields}, _KNOWN)
        file = _one(fields, "file")
        if not isinstance(file, UploadFile):
            raise UserError("`file` must be the recording, a file of the form.")
        texts = {name: _texts(name, values) for name, values in fields.items() if name != "file"}
        model = _one(texts, "model")
        if model is None:
            raise UserError("`model` must be the name of the model; GET /v1/models tells it.")
        shape = _one(texts, "response_format") or "json"
        require_one_of(FORMATS, response_format=shape)
        granularities = tuple(texts.get("timestamp_granularities") or ["segment"])
        for granularity in granularities:
            require_one_of(_GRANULARITIES, timestamp_granularities=granularity)
        is_streamed = _switch(texts, "stream")
        if is_streamed and shape not in ("json", "text"):
            raise UserError("With stream=true `response_format` must be json or text.")
        return cls(
            file=file,
            model=model,
            form=shape,
            granularities=granularities,
            is_streamed=is_streamed,
            search=_search(texts),
        )


def _search(texts: dict[str, list[str]]) -> dict[str, Any]:
    keywords = request_fields.phrases(texts.get("keywords", []))
    only = _switch(texts, "only")
    bonus = request_fields.number({"bonus": _one(texts, "bonus")}, "bonus", BIAS_SCORE)
    if not keywords:
        if only:
            raise UserError("`only` needs `keywords`, all that may be said.")
        return {}
    return {"phrases": keywords, "only": only, "bonus": bonus}


def _one(fields: dict[str, list[Any]], name: str) -> Any:
    values = fields.get(name, [])
    if len(values) > 1:
        raise UserError(f"`{name}` must be given once. Received: {len(values)} of it")
    return values[0] if values else None


def _texts(name: str, values: Sequence[Any]) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise UserError(f"`{name}` must be a text, and no file.")
    return list(values)


def _switch(texts: dict[str, list[str]], name: str) -> bool:
    value = _one(texts, name)
    if value is None:
        return False
    if value.lower() not in _SWITCH:
        raise UserError(f"`{name}` must be true or false. Received: {value[:40]!r}")
    return _SWITCH[value.lower()]
