"""The forms in which `transcribe` prints what was said."""

import dataclasses
import json
from typing import Any, Protocol

from int4_conformer.lite.endpointing import Endpoint
from int4_conformer.lite.recognizer_stream import PartialResult
from int4_conformer.lite.subtitles import Format, Subtitles
from int4_conformer.lite.words import Recognition, words_json
from int4_conformer.search.grammar import Grammar


class Form(Protocol):
    """What is printed of a recording: its head once, then each of its utterances."""

    def head(self) -> str:
        """What stands before the first utterance."""

    def utterance(self, found: Recognition, endpoint: Endpoint | None = None) -> str:
        """What was said, and how its end was known in a stream."""


class _Headless:
    def head(self) -> str:
        return ""


class TextForm(_Headless):
    """A line an utterance, behind the name of the recording, if there is one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def utterance(self, found: Recognition, endpoint: Endpoint | None = None) -> str:
        return f"{self._name}{found.text}\n"


class WordsForm(_Headless):
    """A line a word."""

    def __init__(self, name: str) -> None:
        self._name = name

    def utterance(self, found: Recognition, endpoint: Endpoint | None = None) -> str:
        return "".join(
            f"{self._name}{word.start:.2f}\t{word.end:.2f}\t{word.confidence:.3f}\t{word.text}\n"
            for word in found.words
        )


class SubtitleForm:
    """Subtitles as they come."""

    def __init__(self, form: Format) -> None:
        self._subtitles = Subtitles(form)

    def head(self) -> str:
        return self._subtitles.head()

    def utterance(self, found: Recognition, endpoint: Endpoint | None = None) -> str:
        return self._subtitles.of(found.words)


class JsonForm(_Headless):
    """An object a recording."""

    def __init__(self, audio: str) -> None:
        self._audio = audio

    def utterance(self, found: Recognition, endpoint: Endpoint | None = None) -> str:
        said = {"audio": self._audio, "text": found.text, "words": words_json(found.words)}
        if found.match is not None:
            said |= dataclasses.asdict(found.match)
        if found.alternatives:
            said["score"] = round(found.score, 4)
            said["alternatives"] = [
                {"text": other.text, "score": round(other.score, 4)} for other in found.alternatives
            ]
        return _line(said)


class JsonLinesForm(_Headless):
    """Objects for programs: what may change, and what was said.

    Args:
        audio: the file; None of what comes live.
        grammar: of a closed list.
    """

    def __init__(self, audio: str | None, grammar: Grammar | None) -> None:
        self._named = {} if audio is None else {"audio": audio}
        self._grammar = grammar

    def partial(self, result: PartialResult) -> str:
        """The words of an utterance that goes on."""
        words = words_json(result.words)
        for place, word in enumerate(words):
            settled = result.final_words[place : place + 1]
            word["final"] = bool(settled) and settled[0].text == word["text"]
        return self._object("partial", result.text, words, None)

    def utterance(self, found: Recognition, endpoint: Endpoint | None = None) -> str:
        matched = {}
        if self._grammar is not None and (match := self._grammar.match(found.text)):
            matched = dataclasses.asdict(match)
        return self._object("final", found.text, words_json(found.words), endpoint, **matched)

    def _object(
        self,
        kind: str,
        text: str,
        words: list[dict[str, Any]],
        endpoint: Endpoint | None,
        **more: Any,
    ) -> str:
        said = {
            "type": kind,
            "text": text,
            "start": words[0]["start"] if words else None,
            "end": words[-1]["end"] if words else None,
            "words": words,
            "endpoint": endpoint,
        }
        return _line(self._named | said | more)


def _line(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False) + "\n"
