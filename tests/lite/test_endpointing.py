import numpy as np
import pytest

from int4_conformer import interface
from int4_conformer.errors import UserError
from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.recognizer_stream import RecognizerStream
from int4_conformer.lite.utterance_passes import Pass, UtterancePasses
from int4_conformer.text.vocabulary import Vocabulary

RATE, FRAME, SEGMENT = 16000, 640, 8
VOCABULARY = Vocabulary(pieces=("<blank>", "\u2581a", "b"))


def first_run(**inputs):
    """Says a word of each loud frame, and counts frames."""
    pcm, seen = inputs[interface.PCM][0], int(inputs["seen"][0])
    frames = -(-int(inputs[interface.LENGTH][0]) // FRAME)
    loud = np.abs(pcm.reshape(-1, FRAME)).mean(axis=1) > 0.05
    places = np.flatnonzero(loud[:frames]).astype(np.int32)
    padding = (0, SEGMENT - len(places))
    return {
        interface.TOKENS: np.pad(np.ones(len(places), np.int32), padding)[None],
        interface.COUNT: np.array([len(places)], np.int32),
        interface.FRAMES: np.pad(places + seen, padding)[None],
        interface.LOG_PROBS: np.zeros([1, SEGMENT], np.float32),
        interface.ENCODED: np.zeros([1, SEGMENT, 1], np.float32),
        interface.LENGTH: np.array([frames], np.int32),
        "seen": np.array([seen + frames], np.int32),
    }


def stream(endpointing=None, gated=True):
    inputs = {
        interface.PCM: {"shape": [1, SEGMENT * FRAME], "dtype": np.float32},
        interface.LENGTH: {"shape": [1], "dtype": np.int32},
        "seen": {"shape": [1], "dtype": np.int32},
    }
    first = Pass(first_run, inputs, interface.PCM)
    return RecognizerStream(
        UtterancePasses(first, None, VOCABULARY, FRAME, FRAME / RATE),
        lambda samples, last: samples,
        sample_rate=RATE,
        block_samples=FRAME,
        endpointing=endpointing,
        gated=gated,
    )


def audio(*parts):
    """Seconds of speech where positive, of a quiet room where negative."""
    rng = np.random.default_rng(0)
    pieces = []
    for seconds in parts:
        samples = rng.standard_normal(round(abs(seconds) * RATE))
        if seconds > 0:
            # Syllables.
            samples *= 0.3 * np.abs(np.sin(np.arange(len(samples)) * 2 * np.pi * 3 / RATE))
        else:
            samples *= 0.001
        pieces.append(samples)
    return np.concatenate(pieces).astype(np.float32)


def heard(stream, samples, size=1600):
    """The result of each utterance, and when it came, in seconds."""
    found = []
    for start in range(0, len(samples), size):
        result = stream.feed(samples[start : start + size])
        while result.endpoint is not None:
            found.append((result, min(start + size, len(samples)) / RATE))
            result = stream.feed(samples[:0])
    result = stream.finish()
    while result.endpoint is not None:
        found.append((result, len(samples) / RATE))
        result = stream.finish()
    return [*found, (result, len(samples) / RATE)]


@pytest.mark.parametrize("size", [400, 1600, 1_000_000])
def test_utterances_end_after_silence(size):
    rules = EndpointConfig(after_words=0.8)
    found = heard(stream(rules), audio(-2, 1.0, -2, 0.5, -3, 1.5, -0.3), size)
    results = [result for result, _ in found]
    assert [result.endpoint for result in results] == ["after_words", "after_words", None]
    # Words have the times of the stream.
    starts = [result.final_words[0].start for result in results]
    ends = [result.final_words[-1].end for result in results]
    np.testing.assert_allclose(starts, [2.0, 5.0, 8.5], atol=0.15)
    np.testing.assert_allclose(ends, [3.0, 5.5, 10.0], atol=0.15)
    assert all(result.final == result.text for result in results)
    if size == 1600:
        times = [time for _, time in found]
        np.testing.assert_allclose(times[:2], [3.0 + 0.8, 5.5 + 0.8], atol=0.25)


def test_the_next_utterance_has_all_that_was_said():
    # It begins right behind the endpoint.
    samples = audio(1.0, -0.95, 1.0, -2)
    both = [r for r, _ in heard(stream(EndpointConfig(after_words=0.8)), samples) if r.text]
    whole = [r for r, _ in heard(stream(), samples)]
    assert len(both) == 2
    assert len(whole) == 1
    said = sum(len(result.final_words) for result in both)
    assert abs(said - len(whole[0].final_words)) <= 1


def test_the_longest_utterance():
    found = heard(stream(EndpointConfig(longest=2.0)), audio(5.0))
    assert [result.endpoint for result, _ in found[:2]] == ["longest", "longest"]
    assert len(found) == 3


def test_silence_without_words():
    rules = EndpointConfig(without_words=1.0)
    quiet = audio(-4)
    # Nothing is begun, so that nothing ends.
    assert [r.endpoint for r, _ in heard(stream(rules), quiet)] == [None]
    ungated = heard(stream(rules, gated=False), quiet)
    assert [r.endpoint for r, _ in ungated[:3]] == ["without_words"] * 3
    assert not any(r.text for r, _ in ungated)


def test_noise_behind_words():
    rules = EndpointConfig(after_words=0.8, in_noise=2.0)
    samples = audio(-1, 1.0, -6)
    # Bangs that are no words.
    samples[2 * RATE + RATE // 2 :: RATE // 2] += 0.5
    found = heard(stream(rules), samples)
    assert found[0][0].endpoint == "in_noise"
    assert found[0][1] == pytest.approx(4.0, abs=0.25)


def test_a_single_utterance_begins_where_there_is_something_to_hear():
    found = heard(stream(), audio(-30, 1.0, -3))
    assert len(found) == 1
    assert found[0][0].final_words[0].start == pytest.approx(30.0, abs=0.15)
    assert heard(stream(), audio(-5))[0][0].text == ""
    assert heard(stream(), audio(0.3))[0][0].text != ""


def test_rules_are_checked():
    with pytest.raises(UserError, match=r"`after_words` must be positive. Received: after_words=0"):
        EndpointConfig(after_words=0.0)
