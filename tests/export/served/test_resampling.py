import numpy as np
import pytest
import soxr
import tensorflow as tf

from int4_conformer.export.served.resampling import is_resampled, resample

RESAMPLE = tf.function(
    lambda samples, rate: resample(samples, rate, 16000),
    input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)],
    autograph=False,
)


def tone(hertz, rate, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 22255, 24000, 44056, 44100, 48000])
def test_a_tone_stays_what_it_is(rate):
    samples = 0.5 * tone(440, rate) + 0.3 * tone(1500, rate)
    expected = 0.5 * tone(440, 16000) + 0.3 * tone(1500, 16000)
    found = RESAMPLE(samples, rate).numpy()
    assert len(found) == round(len(samples) * 16000 / rate)
    # Not the edges, before and behind which there is silence.
    middle = slice(1000, len(expected) - 1000)
    np.testing.assert_allclose(found[middle], expected[middle], atol=2e-4)


@pytest.mark.parametrize("hertz", [8500, 12000, 20000])
def test_what_the_lower_rate_cannot_hold_is_gone(hertz):
    found = RESAMPLE(tone(hertz, 48000), 48000).numpy()
    assert np.abs(found[1000:-1000]).max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_speech_is_as_soxr_has_it(rate):
    rng = np.random.default_rng(0)
    # Noise as steep as speech is.
    spectrum = np.fft.rfft(rng.standard_normal(rate))
    spectrum /= 1 + (np.arange(len(spectrum)) / 500) ** 2
    samples = np.fft.irfft(spectrum).astype(np.float32)
    samples /= np.abs(samples).max()
    expected = soxr.resample(samples, rate, 16000)
    found = RESAMPLE(samples, rate).numpy()
    difference = found[500:-500] - expected[500 : len(found) - 500]
    assert np.std(difference) < 0.003 * np.std(expected)


@pytest.mark.parametrize("samples", [0, 1, 7, 441])
def test_short_ones(samples):
    found = RESAMPLE(np.ones(samples, np.float32), 44100)
    assert len(found) == round(samples * 16000 / 44100)


def test_rates_that_are_taken():
    rates = 0, 3999, 4000, 8000, 44099, 44100, 192000, 192001
    assert [bool(is_resampled(tf.constant(rate), 16000)) for rate in rates] == [
        *(False, False, True, True, False, True, True, False)
    ]
