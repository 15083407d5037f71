import numpy as np
import pytest

from int4_conformer.audio.audio_files import resample
from int4_conformer.audio.synthesis import speaker_change
from int4_conformer.audio.synthesis.speaker_change import changed

RATE = 16000


def vowel(pitch=110.0, formants=(700.0, 1200.0, 2500.0, 3500.0), seconds=1.0):
    """A voice of harmonics, through resonances of 150 Hz, float32 [samples]."""
    time = np.arange(int(seconds * RATE)) / RATE
    f = np.arange(pitch, 7000, pitch)
    gains = np.prod([r**2 / np.abs(r**2 - f**2 + 150j * f) for r in formants], axis=0) / f
    sound = gains @ np.sin(2 * np.pi * f[:, None] * time + f[:, None])
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def fundamental(samples):
    middle = samples[samples.size // 4 :][:4096]
    correlation = np.correlate(middle, middle, "full")[4095:]
    return RATE / (50 + np.argmax(correlation[50:250]))


def envelope(samples):
    """Of the spectrum, smoothed, in dB: [frequencies], 0 to 8 kHz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 512)[::64] * np.hanning(512)
    levels = 20 * np.log10(np.abs(np.fft.rfft(frames)).mean(axis=0) + 1e-5)
    cepstrum = np.fft.irfft(levels)
    cepstrum[25:-24] = 0
    return np.fft.rfft(cepstrum).real


def stretch(one, other):
    """By which factor of frequency the envelopes of two sounds are most alike."""
    here = np.arange(12, 120)
    first, second = envelope(one), envelope(other)
    factors = np.arange(0.75, 1.35, 0.01)
    moved = [np.interp(here / factor, np.arange(257), first) for factor in factors]
    return factors[np.argmax([np.corrcoef(m, second[here])[0, 1] for m in moved])]


def test_without_a_change_all_stays(monkeypatch):
    sound = vowel()
    np.testing.assert_array_equal(changed(sound, pitch=1.0, formants=1.0), sound)
    # The filters alone change anything: frames fit together again.
    monkeypatch.setattr(speaker_change, "_filters", lambda spectra, factor: np.ones(spectra.shape))
    for count in (1, 127, 512, 4000):
        part = sound[:count]
        np.testing.assert_allclose(changed(part, pitch=1.0, formants=1.2), part, atol=1e-6)


@pytest.mark.parametrize(
    ("pitch", "formants"), [(1.0, 1.2), (1.0, 0.85), (1.3, 1.0), (0.8, 1.0), (1.25, 1.15)]
)
def test_pitch_and_formants_move_apart(pitch, formants):
    sound = vowel()
    other = changed(sound, pitch=pitch, formants=formants)
    assert other.dtype == np.float32
    assert abs(other.size - sound.size / pitch) <= 1
    assert fundamental(other) == pytest.approx(110 * pitch, rel=0.02)
    assert stretch(sound, other) == pytest.approx(formants, abs=0.04)


def test_other_rates_come_out_at_16_khz():
    sound = vowel()
    other = changed(resample(sound, RATE, 24000), pitch=1.0, formants=1.1, sample_rate=24000)
    expected = changed(sound, pitch=1.0, formants=1.1)
    assert abs(other.size - expected.size) <= 1
    np.testing.assert_allclose(other[1000:9000], expected[1000:9000], atol=0.02)


def test_silence_stays_silence():
    assert not changed(np.zeros(3000, np.float32), pitch=1.0, formants=1.2).any()
