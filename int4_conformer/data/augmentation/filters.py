"""Filters by the Fourier transform of a whole recording."""

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE

# Hz from which on treble is cut.
_CUT_OFF = (2000.0, 7000.0)
# Hz in which a filter falls from all to nothing: a sharper edge would ring.
_EDGE = 200.0


def low_passed(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples without the treble above some frequency; float32 [samples]."""
    return band_passed(samples, 0.0, rng.uniform(*_CUT_OFF))


def band_passed(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    """Samples between two frequencies in Hz alone; float32 [samples].

    Args:
        samples: float32 [samples] at 16 kHz.
        low: 0 for no lower end.
        high: in Hz.
    """
    size = fast_size(samples.size)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = np.clip((high - hertz) / _EDGE + 0.5, 0.0, 1.0)
    if low:
        gain *= np.clip((hertz - low) / _EDGE + 0.5, 0.0, 1.0)
    spectrum = np.fft.rfft(samples, size) * gain.astype(np.float32)
    return np.fft.irfft(spectrum, size)[: samples.size].astype(np.float32)


def convolved(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The beginning of what a filter makes of samples; float32 [samples].

    Args:
        samples: float32 [samples].
        response: float32 [taps] of the filter to an impulse.
    """
    size = fast_size(samples.size + response.size - 1)
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: samples.size].astype(np.float32)


def fast_size(least: int) -> int:
    """A length from `least` on whose Fourier transform is fast: 2 ** n or 3 * 2 ** n."""
    size = 1 << max(0, int(least) - 1).bit_length()
    return size * 3 // 4 if size >= 4 and size * 3 // 4 >= least else size
