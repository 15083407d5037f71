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


@pytest.mark.parametrize("kind", ["white", "pink", "brown"])
def test_a_voice_is_heard_in_noise_as_loud_as_itself(kind):
    noise = steady(kind, 10.0, -30.0)[: 4 * RATE]
    # Syllables of a vowel, four times a second.
    times = np.arange(len(noise)) / RATE
    voice = sum(np.sin(2 * np.pi * 120 * n * times) / abs(n - 4.5) for n in range(1, 30))
    voice = voice * np.clip(np.sin(2 * np.pi * 4 * times), 0, None) * (abs(times - 2) < 1)
    voice *= np.sqrt(np.mean(np.square(noise)) / np.mean(np.square(voice[RATE : 3 * RATE])))
    heard = (noise + voice).astype(np.float32)
    assert 2.75 <= last_active(heard, 1600) <= 3.1
    assert may_hold_speech(heard, RATE)


@pytest.mark.parametrize("kind", ["white", "pink", "hum"])
def test_noise_that_sets_in_is_soon_the_floor(kind):
    noise = steady(kind, 4.0, -20.0)
    noise[: 2 * RATE] *= 0.01
    assert 2.0 <= last_active(noise, 1600) <= 2.7


@pytest.mark.parametrize("rate", [8000, 11025, 48000])
def test_other_rates(rate):
    times = np.arange(3 * rate) / rate
    # Without clicks, which have something of all frequencies.
    loud = 0.1 * np.exp(-np.square((times - 1.5) / 0.3))
    activity = SpeechActivity(rate)
    activity.hear((loud * np.sin(2 * np.pi * 500 * times)).astype(np.float32))
    assert 1.4 <= activity.last_active <= 1.8
    # Nothing of it lies between 300 and 1000 Hz.
    activity = SpeechActivity(rate)
    activity.hear((loud * np.sin(2 * np.pi * 2500 * times)).astype(np.float32))
    assert activity.last_active is None


def test_silence_is_no_speech():
    for samples in (np.zeros(RATE), np.resize([0, 1 / 32768], RATE), np.full(RATE, 0.2)):
        samples = samples.astype(np.float32)
        assert last_active(samples, 1000) is None
        assert not may_hold_speech(samples, RATE) or samples[0] == np.float32(0.2)
    assert not may_hold_speech(np.zeros(100, np.float32), RATE)
    assert not may_hold_speech(np.zeros(0, np.float32), RATE)


def test_of_a_short_utterance_only_the_loudness_counts():
    tone = (0.1 * np.sin(0.25 * np.arange(8000))).astype(np.float32)
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
