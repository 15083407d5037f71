"""Files beside models that hear something else."""

import dataclasses

import numpy as np
import pytest

from int4_conformer.export.recognizer_tflite import export_tflite
from int4_conformer.export.transcript_comparison import TIE, OtherTokens, TranscriptComparison
from int4_conformer.layers.paths import by_path
from int4_conformer.lite.recognizer_file import RecognizerFile
from int4_conformer.models.transducer import Transducer
from tests.support import tiny

RNG = np.random.default_rng(3)
UTTERANCES = [(f"{n}.wav", RNG.normal(0, 0.1, 4000 * n).astype(np.float32)) for n in (1, 2, 3)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model.tflite"
    export_tflite(tiny.shared_model("w4a8"), tiny.TOKENIZER, path)
    return RecognizerFile(path)


def test_the_models_own_file_agrees(file):
    done = []
    comparison = TranscriptComparison(file, tiny.shared_model("w4a8"))
    assert comparison(UTTERANCES, done.append) == []
    assert done == [1, 2, 3]


def test_the_margin_is_that_of_the_symbol_the_model_likes_best(file):
    more, liked = 50.0, 3
    other = Transducer(tiny.shared_model("w4a8").config)
    other.build()
    for path, weight in by_path(tiny.shared_model("w4a8")).items():
        change = more * np.eye(weight.shape[-1])[liked] if path == "joint/output_bias" else 0.0
        by_path(other)[path].assign(weight + change)
    found = TranscriptComparison(file, other)(UTTERANCES)
    assert [tokens.utterance for tokens in found] == ["1.wav", "2.wav", "3.wav"]
    for tokens in found:
        assert set(tokens.model) == {tiny.TOKENIZER.vocabulary.pieces[liked]} != set(tokens.file)
        # At each point the file's symbol was the best before: what is liked is never ahead by more.
        assert more / 2 < tokens.margin <= more + TIE


def test_as_good_as_its_own_is_a_tie():
    tokens = OtherTokens(utterance="a.wav", file="a", model="b", margin=TIE)
    assert tokens.is_tie
    assert not dataclasses.replace(tokens, margin=2 * TIE).is_tie
