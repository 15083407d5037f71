import numpy as np
import pytest
import soundfile

from int4_conformer.audio.synthesis import speakers
from int4_conformer.data.corpus import read_corpus
from int4_conformer.data.sources.phrases import (
    LISTS,
    PhrasesConfig,
    count_spoken,
    draw_phrases,
    read_grammar,
    speak_phrases,
)
from int4_conformer.errors import UserError
from int4_conformer.search.grammar import Grammar
from int4_conformer.text.graphemes import Graphemes

pytest.importorskip("espeakng_loader")

GRAMMAR = Grammar.of(["yes", "room {1..5}"])


def test_what_is_drawn_hangs_on_the_settings_alone():
    drawn = draw_phrases(GRAMMAR, PhrasesConfig(utterances=30), "train")
    assert drawn == draw_phrases(GRAMMAR, PhrasesConfig(utterances=30), "train")
    assert drawn[:7] == draw_phrases(GRAMMAR, PhrasesConfig(utterances=7), "train")
    other = draw_phrases(GRAMMAR, PhrasesConfig(utterances=30, speech_seed=1), "train")
    assert not set(drawn) & set(other)
    assert len({phrase.key for phrase in drawn}) == len(set(drawn)) == 30
    assert all(GRAMMAR.match(phrase.text) for phrase in drawn)
    assert not {phrase.speaker for phrase in drawn} & {
        phrase.speaker for phrase in draw_phrases(GRAMMAR, PhrasesConfig(), "dev")
    }


def test_synthesizers_speak_as_much():
    config = PhrasesConfig(voices="kokoro, piper", utterances=10)
    drawn = draw_phrases(GRAMMAR, config, "train")
    assert [phrase.speaker.synthesizer for phrase in drawn] == ["kokoro", "piper"] * 5


def test_speech_is_made_once(tmp_path, monkeypatch):
    phrases = draw_phrases(GRAMMAR, PhrasesConfig(utterances=3), "train")
    done = []
    (first,) = speak_phrases(phrases[:1], tmp_path)
    utterances = speak_phrases([*phrases, phrases[1]], tmp_path, on_done=done.append)
    assert utterances[0] == first
    assert done == [4]
    assert count_spoken(phrases, tmp_path) == len(list(tmp_path.rglob("*.flac"))) == 3
    for phrase, utterance in zip(phrases, utterances, strict=False):
        assert utterance.text == phrase.text
        assert utterance.speaker == phrase.speaker.name
        assert utterance.duration == phrase.samples().size / 16000
        # 16 bits of what it says.
        np.testing.assert_allclose(utterance.samples(), phrase.samples(), atol=2**-15)
    monkeypatch.setattr(speakers, "synthesize", None)
    assert speak_phrases(phrases, tmp_path) == utterances[:3]


@pytest.mark.heavy
def test_processes_speak_alike(tmp_path):
    phrases = draw_phrases(GRAMMAR, PhrasesConfig(utterances=20), "train")
    one = speak_phrases(phrases, tmp_path / "one")
    two = speak_phrases(phrases, tmp_path / "two", processes=2)
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.samples(), second.samples())


def test_a_corpus_of_phrases(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(PhrasesConfig, "count", lambda self, split: 2)
    path = tmp_path / "phrases.txt"
    path.write_text("stop\n")
    splits = [utterance.split for utterance in read_corpus(f"phrases:{path}")]
    assert splits == ["train", "train", "dev", "dev", "test", "test"]
    (dev, _) = read_corpus(f"phrases:{path}", "dev")
    assert dev.text == "stop"
    assert dev.audio.startswith(str(tmp_path / "int4_conformer" / "speech"))
    assert soundfile.info(dev.audio).samplerate == 16000
    with pytest.raises(UserError, match="has no split 'all'"):
        read_corpus(f"phrases:{path}", "all")
    with pytest.raises(UserError, match=r"There is no list of phrases absent\.txt"):
        read_corpus("phrases:absent.txt")


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_the_package(name):
    grammar = read_grammar(name)
    rng = np.random.default_rng(0)
    texts = {grammar.draw(rng) for _ in range(300)}
    assert len(texts) > 200
    # Letters alone, for the tokenizer.
    for text in texts:
        Graphemes().encode(text)


def test_what_is_refused():
    with pytest.raises(UserError, match=r"no voices 'kokoru' \(did you mean kokoro"):
        PhrasesConfig(voices="espeak,kokoru")
    with pytest.raises(UserError, match="utterances=0"):
        PhrasesConfig(utterances=0)
    with pytest.raises(UserError, match="has no split 'all'"):
        draw_phrases(GRAMMAR, PhrasesConfig(), "all")
