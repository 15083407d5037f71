"""Recordings that are longer than one call hears."""

import types
from pathlib import Path

import numpy as np
import pytest

from int4_conformer.audio import audio_files
from int4_conformer.errors import UserError
from int4_conformer.lite import file_signatures, long_audio
from int4_conformer.lite.recognizer import Recognizer
from tests.support import tflite_models

FIXTURES = Path(__file__).parents[1] / "compatibility" / "v0_1"
BLOCK = tflite_models.BLOCK_SAMPLES
RATE = 16000
CLIPS = [audio_files.read(FIXTURES / "clips" / f"{n}.flac") for n in (0, 1, 3)]


def talk(seconds):
    """The fixture's clips, over and over with pauses of half a second."""
    noise = np.random.default_rng(0).normal(0, 1e-3, RATE // 2).astype(np.float32)
    turn = np.concatenate([piece for clip in CLIPS for piece in (clip, noise)])
    return np.resize(turn, int(seconds * RATE))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file that hears whole utterances only."""
    path = tmp_path_factory.mktemp("models") / "recognizer.tflite"
    path.write_bytes(tflite_models.recognizer())
    return path


@pytest.fixture(scope="module")
def cascade():
    """A recogniser of streams, of two passes."""
    return Recognizer(FIXTURES / "cascade.tflite")


def tokens(seconds):
    """Tokens of blocks: a word of two now and then, and silence between them."""
    rng = np.random.default_rng(0)
    pattern = [1, 2, 0, 0, 3, 0, 0, 0]
    count = int(seconds * RATE / BLOCK)
    ids = np.resize(pattern, count)
    # And pauses.
    for start in range(200, count, 230):
        ids[start : start + rng.integers(0, 40)] = 0
    return ids


def words_of(ids):
    """Text and start of each word."""
    text = {1: "a", 2: "b", 3: "c"}
    found = []
    for place, id_ in enumerate(ids):
        if id_ == 2 and found:
            found[-1][0] += "b"
        elif id_:
            found.append([text[id_], place * BLOCK / RATE])
    return [tuple(word) for word in found]


@pytest.mark.parametrize("part_seconds", [2.0, 7.3, 20.0])
@pytest.mark.parametrize("gated", [True, False])
def test_words_and_times_of_parts_are_those_of_the_whole(whole, part_seconds, gated):
    ids = tokens(70)
    recognizer = Recognizer(whole, gated=gated, part_seconds=part_seconds)
    assert recognizer.longest_seconds == 40.0
    found = recognizer.recognize(tflite_models.talk(ids))
    expected = words_of(ids)
    assert [word.text for word in found.words] == [text for text, _ in expected]
    np.testing.assert_allclose([w.start for w in found.words], [start for _, start in expected])
    assert found.text == " ".join(word.text for word in found.words)
    assert recognizer.transcribe(tflite_models.talk(ids)) == found.text
    seconds = [0.0, *(cut.seconds for cut in found.cuts), 70.0]
    assert len(found.cuts) >= 70 / part_seconds - 1
    assert max(np.diff(seconds)) <= part_seconds


def test_what_one_call_hears_is_not_cut(whole, monkeypatch):
    recognizer = Recognizer(whole)
    samples = tflite_models.talk(tokens(40))
    assert len(samples) == 40 * RATE
    monkeypatch.setattr(long_audio, "parts", None)
    found = recognizer.recognize(samples)
    assert found.cuts == ()
    assert found == recognizer.recognize_long([samples])
    assert found == recognizer.recognize_long(np.array_split(samples, 7))
    with pytest.raises(TypeError):
        recognizer.recognize(np.append(samples, samples[:1]))


@pytest.mark.parametrize("rate", [8000, 44100])
def test_blocks_at_another_rate_are_as_one_array(whole, rate):
    samples = audio_files.resample(tflite_models.pcm(tokens(45)), RATE, rate)
    recognizer, heard = Recognizer(whole), []
    found = recognizer.recognize(samples, rate)
    blocks = np.array_split(samples, 100)
    assert found == recognizer.recognize_long([*blocks, samples[:0]], rate, on_heard=heard.append)
    assert [word.text for word in found.words] == [text for text, _ in words_of(tokens(45))]
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(45.0)
    stereo = np.stack([samples, samples / 2], axis=1)
    assert len(recognizer.recognize(stereo, rate).words) == len(found.words)


def test_a_file_of_a_fixed_length_is_given_parts_of_it():
    # A stand-in for its signatures: parts are as long as it takes, and padded to that.
    lengths = []

    class Fixed:
        sample_rate, block_samples, frame_samples, fixed_samples = RATE, 640, 640, 3 * RATE

    file = types.SimpleNamespace(metadata=Fixed(), signatures=())
    signatures = file_signatures.FileSignatures(file)
    assert signatures.longest == 3 * RATE
    for part in long_audio.parts([talk(20)], RATE, signatures.longest, 640):
        inputs = signatures.whole(part.pcm)
        assert inputs["pcm"].shape == (3 * RATE,)
        lengths.append(int(inputs["length"][0]))
        assert lengths[-1] == len(part.pcm)
    assert len(lengths) > 6
    with pytest.raises(UserError, match=r"One call of this file hears 3 s at most; .*: 3\.00 s"):
        signatures.whole(np.zeros(3 * RATE + 1, np.float32))


def test_a_stream_of_segments_says_what_one_call_says(cascade, monkeypatch):
    samples = talk(50.01)
    heard = []
    streamed = cascade.recognize(samples)
    blocks = (samples[start : start + 5000] for start in range(0, len(samples), 5000))
    assert streamed == cascade.recognize_long(blocks, on_heard=heard.append)
    assert heard[-1] == len(samples) / RATE
    assert streamed.cuts == ()
    monkeypatch.setattr(file_signatures, "LONGEST_SECONDS", 100.0)
    called = cascade.recognize(samples)
    assert streamed.text == called.text
    assert called.text.startswith("back go back yes back go")
    for word, other in zip(streamed.words, called.words, strict=True):
        assert (word.text, word.start, word.end) == (other.text, other.start, other.end)
        # Sums of floats come in another order, which moves a code now and then.
        assert word.confidence == pytest.approx(other.confidence, abs=0.05)


def test_no_word_outlasts_the_recording(cascade):
    # The last word is cut within.
    samples = talk(45)
    for seconds in (41.0, 41.3, 41.7):
        words = cascade.recognize(samples[: int(seconds * RATE)]).words
        assert all(word.start <= word.end <= seconds for word in words)


@pytest.mark.parametrize("seconds", [41, 60])
def test_silence_has_no_words(whole, cascade, seconds):
    noise = np.random.default_rng(0).normal(0, 0.01, seconds * RATE).astype(np.float32)
    for recognizer in (Recognizer(whole), cascade):
        assert recognizer.recognize(noise).words == ()
        assert recognizer.transcribe(noise) == ""


def test_refusals(whole, tmp_path):
    recognizer, samples = Recognizer(whole), tflite_models.pcm([1, 2] * 501)
    with pytest.raises(UserError, match=r"hears 40 s at most; `recognize` and `transcribe` hear"):
        recognizer.tokens(samples)
    for seconds in (1.9, 41, float("nan")):
        with pytest.raises(UserError, match=r"`part_seconds` must be in \[2, 40\]"):
            Recognizer(whole, part_seconds=seconds)
    for bad, message in [
        (samples.astype(np.float64), "must be float32"),
        (np.full(50 * RATE, np.nan, np.float32), "NaN or infinite"),
        ([[1.0], [2.0, 3.0]], "must be one array of numbers"),
    ]:
        with pytest.raises(UserError, match=message):
            recognizer.transcribe(bad)
    with pytest.raises(UserError, match="`sample_rate` must be positive"):
        recognizer.transcribe(samples, 0)
    with pytest.raises(UserError, match="holds no sample"):
        recognizer.recognize_long([])
    untimed = tmp_path / "untimed.tflite"
    untimed.write_bytes(tflite_models.recognizer(timed=False))
    with pytest.raises(UserError, match="exported before words had times; export the model again"):
        Recognizer(untimed).transcribe(samples)
