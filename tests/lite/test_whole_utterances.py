import numpy as np
import pytest

from int4_conformer.lite.endpointing import EndpointConfig
from int4_conformer.lite.listening import results
from int4_conformer.lite.whole_utterances import WholeUtterances
from int4_conformer.lite.words import Recognition, Word

RATE = 16000
RNG = np.random.default_rng(0)


def quiet(seconds):
    return RNG.normal(0, 1e-3, int(seconds * RATE)).astype(np.float32)


def loud(seconds):
    """Noise with syllables, the last of which ends at the end."""
    noise = RNG.normal(0, 0.1, int(seconds * RATE)).astype(np.float32)
    syllables = np.where(np.arange(len(noise))[::-1] % 4000 < 3000, 1, 0.1)
    return noise * syllables.astype(np.float32)


def heard(parts, config=None, step=0.05, says="word", **settings):
    """Seconds of each utterance that was recognised, and the results that had words or an end."""
    lengths = []

    def recognize(pcm):
        lengths.append(len(pcm) / RATE)
        words = (Word(text=says, start=0.5, end=0.75, confidence=0.5),) if says else ()
        return Recognition(text=says, words=words)

    listener = WholeUtterances(
        recognize, lambda pcm, last: pcm, RATE, config or EndpointConfig(), **settings
    )
    audio = np.concatenate(parts)
    size = int(step * RATE)
    steps = [audio[start : start + size] for start in range(0, len(audio), size)]
    found = [r for r in results(listener, steps) if r.text or r.endpoint]
    return lengths, found


@pytest.mark.parametrize("step", [0.01, 0.3, 100])
def test_silence_parts_utterances(step):
    parts = quiet(3), loud(1), quiet(3), loud(2), quiet(0.5)
    lengths, found = heard(parts, step=step)
    # A second before, the speech, and the silence by which its end was known.
    assert lengths == pytest.approx([3.2, 3.5], abs=0.2)
    assert [result.endpoint for result in found] == ["after_words", None]
    assert [result.final for result in found] == ["word", "word"]
    starts = [result.final_words[0].start for result in found]
    assert starts == pytest.approx([2.5, 6.5], abs=0.2)
    assert all(result.words == result.final_words for result in found)


def test_speech_without_a_word():
    _, found = heard([quiet(1), loud(1), quiet(2)], says="")
    assert [result.endpoint for result in found] == ["without_words"]


def test_no_speech_is_not_recognised():
    assert heard([quiet(5)]) == ([], [])
    # But for what is too short to tell, and where nothing is left out.
    assert heard([loud(0.3)])[0] == [0.3]
    assert heard([quiet(5)], gated=False)[0] == pytest.approx([1.2, 1.2, 1.2, 1.2, 0.2], abs=0.2)


def test_the_longest():
    config = EndpointConfig(longest=2.0)
    bursts = [part for _ in range(8) for part in (loud(0.4), quiet(0.2))]
    lengths, found = heard([quiet(1), *bursts], config)
    assert max(lengths) <= 2.0
    assert found[0].endpoint == "longest"
    lengths, _ = heard([quiet(1), *bursts], most_seconds=1.5)
    assert max(lengths) <= 1.5
