import dataclasses
import json
import math

import numpy as np
import pytest

from int4_conformer.data.sources.utterance import Utterance
from int4_conformer.evaluation.one_by_one import Evaluation, evaluate, score
from int4_conformer.text.metrics import CharacterErrors, WordErrors
from int4_conformer.text.writing import Writing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Silence(Utterance):
    """An utterance without a file."""

    def samples(self, sample_rate=16000, on_note=None):
        return np.zeros(round(self.duration * sample_rate), np.float32)


def utterances(*texts):
    return [
        Silence(audio=f"/{index}.wav", text=text, duration=1.0 + index)
        for index, text in enumerate(texts)
    ]


def test_evaluate_transcribes_in_order_and_reports_each():
    heard, done = [], []

    def transcribe(samples):
        heard.append(samples.size)
        return f"word {len(heard)}"

    evaluation = evaluate(transcribe, utterances("Word one.", "word 2", "word"), done.append)
    assert heard == [16000, 32000, 48000]
    assert done == [1, 2, 3]
    assert evaluation.hypotheses == ("word 1", "word 2", "word 3")
    assert evaluation.errors == WordErrors(substitutions=1, insertions=1, words=5)


def test_the_real_time_factor_is_of_transcribing_alone(monkeypatch):
    clock = iter([10.0, 11.0, 100.0, 100.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    evaluation = evaluate(lambda samples: "", utterances("a", "a"))
    assert evaluation.rtf == 1.5 / 3.0


def test_score_normalises_both_sides():
    errors = score(utterances("It's  ONE, two!"), ["its ONE. two"])
    assert errors == WordErrors(substitutions=1, words=3)


def test_characters_are_scored_without_spaces():
    evaluation = Evaluation.of(utterances("今天天气好。", "a b"), ["今天 天汽好", "ab"], rtf=0.1)
    assert evaluation.errors == WordErrors(substitutions=2, deletions=1, insertions=1, words=3)
    assert evaluation.characters == CharacterErrors(errors=1, characters=7)


def test_other_words_count():
    corpus = utterances("今天天气好。", "Take 2!")
    evaluation = Evaluation.of(corpus, ["今天天汽好", "take two"], rtf=0.1)
    assert evaluation.errors == WordErrors(substitutions=2, words=3)
    scored = evaluation.scored_by("characters", corpus)
    assert scored.errors == WordErrors(substitutions=2, insertions=2, words=10)
    assert scored.characters == evaluation.characters
    assert scored.to_json()["reference_normalizer"] == "characters"
    errors, words = evaluation.scored_by("numbers", corpus).counts(corpus)
    assert (errors.tolist(), words.tolist()) == ([1, 0], [1, 2])


def test_what_is_written_is_scored_both_ways():
    writing = Writing(text="as_written", locale="tr")
    evaluation = Evaluation.of(utterances("Işık, yak!"), ["ışık yak!"], 0.1, writing)
    assert evaluation.errors.errors == 0
    assert evaluation.written == WordErrors(substitutions=1, words=2)
    assert evaluation.written_characters == CharacterErrors(errors=2, characters=9)
    assert evaluation.to_json()["as_written"] == {"wer": 0.5, "cer": 2 / 9}
    assert "as_written" not in Evaluation.of(utterances("a"), ["a"], 0.1).to_json()


def test_words_heard_where_nothing_was_said_are_insertions():
    errors = score(utterances("", "...", "a"), ["b c", "d", "a"])
    assert errors == WordErrors(insertions=3, words=1)
    assert score(utterances(""), ["b"]).wer == math.inf


@pytest.mark.parametrize(("words", "wer"), [(4, 0.75), (0, None)])
def test_to_json(words, wer):
    evaluation = Evaluation(
        errors=WordErrors(substitutions=1, insertions=2, words=words),
        characters=CharacterErrors(errors=3, characters=4 * words),
        hypotheses=("a", "b"),
        rtf=0.25,
    )
    assert json.loads(json.dumps(evaluation.to_json(), allow_nan=False)) == {
        "wer": wer,
        "cer": None if wer is None else 3 / 16,
        "characters": 4 * words,
        "character_errors": 3,
        "utterances": 2,
        "substitutions": 1,
        "deletions": 0,
        "insertions": 2,
        "words": words,
        "rtf": 0.25,
    }
