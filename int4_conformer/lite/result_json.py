"""What was heard, as the objects of JSON that programs get."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from int4_conformer.lite.endpointing import Endpoint
from int4_conformer.lite.recognizer_stream import PartialResult
from int4_conformer.lite.words import Recognition, Word
from int4_conformer.search.grammar import Grammar


def words_json(words: Sequence[Word]) -> list[dict[str, Any]]:
    """An object a word: its text, its times in seconds, its confidence."""
    return [
        {
            "text": word.text,
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "confidence": round(word.confidence, 4),
        }
        for word in words
    ]


class ResultJson:
    """Objects of what is heard live: what may change, and what was said.

    Args:
        grammar: of a closed list.
    """

    def __init__(self, grammar: Grammar | None) -> None:
        self._grammar = grammar

    def partial(self, result: PartialResult) -> dict[str, Any]:
        """The words of an utterance that goes on."""
        words = words_json(result.words)
        for place, word in enumerate(words):
            settled = result.final_words[place : place + 1]
            word["final"] = bool(settled) and settled[0].text == word["text"]
        return _object("partial", result.text, words, None)

    def final(self, found: Recognition, endpoint: Endpoint | None = None) -> dict[str, Any]:
        """The words of one that has ended, and how that was known."""
        matched = {}
        if self._grammar is not None and (match := self._grammar.match(found.text)):
            matched = dataclasses.asdict(match)
        return _object("final", found.text, words_json(found.words), endpoint) | matched


def _object(
    kind: str, text: str, words: list[dict[str, Any]], endpoint: Endpoint | None
) -> dict[str, Any]:
    return {
        "type": kind,
        "text": text,
        "start": words[0]["start"] if words else None,
        "end": words[-1]["end"] if words else None,
        "words": words,
        "endpoint": endpoint,
    }
