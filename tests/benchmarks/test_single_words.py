"""Single words, cut out where pauses tell them apart."""

import numpy as np
import pytest
import soundfile

RATE = 16000


@pytest.fixture
def words(programs):
    return programs("single_words")["single_words"]


def _tones(*stretches, seconds):
    """Noise as quiet as a room, with tones where there are stretches, in seconds."""
    rng = np.random.default_rng(0)
    samples = 1e-4 * rng.standard_normal(int(seconds * RATE))
    for begin, end in stretches:
        places = np.arange(int(begin * RATE), int(end * RATE))
        samples[places] += 0.3 * np.sin(2 * np.pi * 440 * places / RATE)
    return samples.astype(np.float32)


def test_speech_is_found_where_it_is(words):
    found = words.speech(_tones((0.5, 0.9), (1.4, 1.6), seconds=2.5), pause=0.1)
    np.testing.assert_allclose(found, [(0.5, 0.9), (1.4, 1.6)], atol=0.021)


def test_pauses_that_are_shorter_are_within_a_stretch(words):
    samples = _tones((0.5, 0.9), (1.0, 1.6), seconds=2.5)
    assert len(words.speech(samples, pause=0.05)) == 2
    assert len(words.speech(samples, pause=0.2)) == 1


def test_clicks_and_silence_are_no_speech(words):
    assert words.speech(_tones((0.5, 0.53), seconds=2.0), pause=0.1) == []
    assert words.speech(np.zeros(RATE, np.float32), pause=0.1) == []


@pytest.mark.parametrize("text", ["SIX", "SIX FIVE", "SIX FIVE TWO"])
def test_a_recording_is_cut_if_it_has_as_many_stretches_as_words(words, tmp_path, text):
    path = tmp_path / "clip.wav"
    soundfile.write(path, _tones((0.5, 0.9), (1.4, 1.6), seconds=2.5), RATE)
    line = {"audio": str(path), "text": text, "duration": 2.5, "speaker": "an4/x", "split": "train"}
    cut = list(words.single_words(line))
    if text != "SIX FIVE":
        assert cut == []
        return
    assert [word["text"] for word in cut] == ["SIX", "FIVE"]
    np.testing.assert_allclose([word["offset"] for word in cut], [0.5, 1.4], atol=0.021)
    np.testing.assert_allclose([word["duration"] for word in cut], [0.4, 0.2], atol=0.041)
    assert all(word["speaker"] == "an4/x" and word["audio"] == str(path) for word in cut)
