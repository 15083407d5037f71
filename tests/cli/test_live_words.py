import io
import json

import numpy as np
import pytest

from int4_conformer.cli.live_words import LiveWords
from int4_conformer.cli.transcripts import JsonLinesForm, SubtitleForm, TextForm
from int4_conformer.lite.recognizer_stream import PartialResult
from int4_conformer.lite.words import Word
from int4_conformer.search.grammar import Grammar

CLEAR = "\r\x1b[K"


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """What is printed of results, on a terminal of so many columns or elsewhere."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def show(results, form=None, columns=None, **settings):
        screen = io.StringIO() if columns is None else Screen()
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.stdout", screen)
        live = LiveWords(form or TextForm(""), **({"has_lines": False} | settings))
        audio = iter(live.hearing([np.full(1000, 0.1, np.float32)] * len(results), 1000))
        live.show(result for result, _ in zip(results, audio, strict=True))
        return screen.getvalue()

    return show


def words(text):
    return tuple(
        Word(text=word, start=place, end=place + 0.5, confidence=0.5)
        for place, word in enumerate(text.split())
    )


def result(final, text=None, endpoint=None):
    text = final if text is None else text
    return PartialResult(
        final=final,
        text=text,
        final_words=words(final),
        words=words(text),
        endpoint=endpoint,
    )


SPOKEN = [
    result(""),
    result("", "go"),
    result("", "go"),
    result("no", "no back"),
    result("no bag", endpoint="after_words"),
    result("", endpoint="without_words"),
    result("", "yes"),
    result("yes"),
]


def test_a_terminal_shows_words_in_place(shown):
    assert shown(SPOKEN, columns=80) == (
        f"{CLEAR}\x1b[2mgo\x1b[0m{CLEAR}no\x1b[2m back\x1b[0m{CLEAR}no bag\n"
        f"{CLEAR}\x1b[2myes\x1b[0m{CLEAR}yes{CLEAR}yes\n"
    )


def test_without_colors(shown, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[2m" not in shown(SPOKEN, columns=80)
    monkeypatch.setenv("TERM", "dumb")
    assert shown(SPOKEN, columns=80) == "no bag\nyes\n"


def test_a_narrow_terminal_shows_the_end(shown):
    results = [result("one two three", "one two three four")]
    assert shown(results, columns=14) == (
        f"{CLEAR}...three\x1b[2m four\x1b[0m{CLEAR}one two three four\n"
    )


def test_a_meter(shown):
    assert shown([result("", "go")], columns=80, has_meter=True).startswith(
        f"{CLEAR}[#####   ] \x1b[2mgo"
    )


def test_elsewhere_there_are_lines(shown):
    assert shown(SPOKEN) == "no bag\nyes\n"
    assert shown(SPOKEN, has_lines=True) == (
        "2.00\tgo\n4.00\tno back\nno bag\n7.00\tyes\n8.00\tyes\nyes\n"
    )


def test_json_lines(shown):
    lines = shown(SPOKEN, JsonLinesForm("a.wav", Grammar.of(["deny = no {thing: bag | sack}"])), 80)
    objects = [json.loads(line) for line in lines.splitlines()]
    assert all(found.pop("audio") == "a.wav" for found in objects)
    assert [(found["type"], found["text"], found["endpoint"]) for found in objects] == [
        ("partial", "go", None),
        ("partial", "no back", None),
        ("final", "no bag", "after_words"),
        ("final", "", "without_words"),
        ("partial", "yes", None),
        ("partial", "yes", None),
        ("final", "yes", None),
    ]
    assert objects[1] == {
        "type": "partial",
        "text": "no back",
        "start": 0,
        "end": 1.5,
        "words": [
            {"text": "no", "start": 0, "end": 0.5, "confidence": 0.5, "final": True},
            {"text": "back", "start": 1, "end": 1.5, "confidence": 0.5, "final": False},
        ],
        "endpoint": None,
    }
    assert (objects[2]["phrase"], objects[2]["slots"]) == ("deny", {"thing": "bag"})
    assert objects[3]["start"] is None


def test_subtitles_come_as_utterances_end(shown):
    assert shown([*SPOKEN[:5], SPOKEN[-1]], SubtitleForm("vtt"), has_lines=True) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.800\nno bag\n\n00:00:01.800 --> 00:00:02.800\nyes\n\n"
    )
