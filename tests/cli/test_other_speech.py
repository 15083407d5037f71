"""Speech of which a model learns to hear nothing."""

import dataclasses
import json

import numpy as np
import pytest

from int4_conformer.cli import corpora
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.corpus_report import CorpusReport
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes
from int4_conformer.training.training_config import TrainingConfig
from tests.support import batched


@pytest.fixture
def others(tmp_path):
    """A manifest of six utterances to train on and one to test on, with words."""
    folder = tmp_path / "others"
    folder.mkdir()
    utterances = batched.corpus(folder)[:7]
    lines = [
        {"audio": u.audio, "text": u.text, "duration": u.duration, "split": "train"}
        for u in utterances
    ]
    lines[-1]["split"] = "test"
    manifest = tmp_path / "others.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def training_set(utterances, report, **settings):
    return corpora.training_set(
        utterances,
        Graphemes(),
        TrainingConfig(**settings),
        25.0,
        report,
        "memory",
    )


def test_other_speech_is_heard_without_its_words(tmp_path, others):
    (tmp_path / "own").mkdir()
    own = [
        dataclasses.replace(utterance, text="a")
        for utterance in batched.corpus(tmp_path / "own")[:3]
    ]
    alone = training_set(own, CorpusReport())
    both = training_set(own, CorpusReport(), other_speech=str(others))
    assert [utterance.text for utterance in both] == ["a"] * 3 + [""] * 6
    heard = read_corpus(others, "train")
    for place in range(3):
        np.testing.assert_array_equal(both.drawn(place), alone.drawn(place))
    for place, utterance in enumerate(heard, start=3):
        assert both.drawn(place).size == both.lengths[place] > 0
        assert both[place].audio == utterance.audio


def test_what_is_too_long_is_left_out_of_it_too(tmp_path, others):
    (tmp_path / "own").mkdir()
    own = [dataclasses.replace(batched.corpus(tmp_path / "own")[0], text="a")]
    longest = max(utterance.duration for utterance in read_corpus(others, "train"))
    report = CorpusReport()
    both = training_set(own, report, other_speech=str(others), max_seconds=longest - 0.01)
    assert len(both) < 7
    assert any("longer than max_seconds" in line for line in report.lines())


@pytest.mark.parametrize(
    ("corpus", "complaint"),
    [
        ("synthetic", "--other_speech takes recordings, and 'synthetic' is spoken from its texts"),
        ("absent", "There is no corpus absent"),
    ],
)
def test_refused_corpora(tmp_path, corpus, complaint):
    own = [dataclasses.replace(batched.corpus(tmp_path)[0], text="a")]
    with pytest.raises(UserError, match=complaint):
        training_set(own, CorpusReport(), other_speech=corpus)
