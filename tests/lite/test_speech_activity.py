import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.data.sources.noise import NoiseUtterance
from int4_conformer.lite.speech_activity import SpeechActivity, may_hold_speech
from tests.support.examples import examples

RATE = 16000


def steady(kind, seconds, level_db):
    """Noise that does not swell."""
    noises = (
        NoiseUtterance(kind=kind, duration=seconds, level_db=level_db, seed=seed)
        for seed in range(20)
    )
    for noise in noises:
        samples = noise.samples()
        halves = np.square(samples).reshape(10, -1).mean(axis=1)
        if halves.max() < 1.5 * halves.min():
            return samples
    raise AssertionError(kind)


def last_active(samples, size):
    activity = SpeechActivity(RATE)
    for start in range(0, len(samples), size):
        activity.hear(samples[start : start + size])
    return activity.last_active


@pytest.mark.parametrize("level_db", [-40.0, -20.0])
@pytest.mark.parametrize("kind", ["white", "pink", "brown", "hum"])
def test_steady_noise_is_no_speech(kind, level_db):
    noise = steady(kind, 10.0, level_db)
    assert last_active(noise, 1600) is None
    assert not may_hold_speech(noise, RATE)
    # A recorder's zeros before it do not make it stand out.
    assert last_active(np.pad(noise, [8000, 0]), 1600) is None
    assert not may_hold_speech(np.pad(noise, [8000, 5050]), RATE)
    # What is louder for a moment does.
    noise[50_000:54_000] *= 5
    found = last_active(noise, 1600)
    assert 54_000 / RATE - 0.05 <= found <= 54_000 / RATE + 0.06
    assert may_hold_speech(noise, RATE)


def test_silence_is_no_speech():
    for samples in (np.zeros(RATE), np.resize([0, 1 / 32768], RATE), np.full(RATE, 0.2)):
        samples = samples.astype(np.float32)
        assert last_active(samples, 1000) is None
        assert not may_hold_speech(samples, RATE) or samples[0] == np.float32(0.2)
    assert not may_hold_speech(np.zeros(100, np.float32), RATE)
    assert not may_hold_speech(np.zeros(0, np.float32), RATE)


def test_of_a_short_utterance_only_the_loudness_counts():
    tone = (0.1 * np.sin(np.arange(8000))).astype(np.float32)
    assert may_hold_speech(tone, RATE)
    assert not may_hold_speech(np.tile(tone, 4), RATE)
    assert not may_hold_speech(tone * 1e-4, RATE)


@settings(deadline=None, max_examples=examples(20))
@given(st.integers(0, 100), st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_it_does_not_matter_how_a_stream_is_cut(seed, sizes):
    rng = np.random.default_rng(seed)
    loudness = 10 ** rng.uniform(-3, 0, 20)
    samples = (0.2 * loudness.repeat(1000) * rng.standard_normal(20_000)).astype(np.float32)
    whole, cut = SpeechActivity(RATE), SpeechActivity(RATE)
    whole.hear(samples)
    start = 0
    while start < len(samples):
        for size in sizes:
            cut.hear(samples[start : start + size])
            start += size
    assert cut.last_active == whole.last_active
