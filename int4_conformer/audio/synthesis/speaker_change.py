"""Another speaker of the same speech: a shorter or longer vocal tract, a higher or deeper voice."""

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE, resample

# 32 ms, a few periods of a voice, four times over each other.
_FRAME = 512
_HOP = _FRAME // 4
# Quefrencies below this one, 2 ms, are the vocal tract's; the voice's are above.
_TRACT = 32
# Factors by which a frequency is made louder or softer at most, as e to the power of this.
_MOST_GAIN = 3.5


def changed(
    samples: np.ndarray, *, pitch: float, formants: float, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Speech with another pitch and other formants.

    It becomes shorter by the factor of the pitch, as a tape that is played faster; a synthesiser
    is asked to speak as much slower. What that does to the formants is taken back, or made more
    of, by a filter for each 32 ms, which leaves the phases as they are.

    Args:
        samples: float32 `[samples]`.
        pitch: factor of the fundamental frequency.
        formants: factor of the frequencies of the formants; 1.15 makes a man's a woman's.
        sample_rate: of `samples`, in Hz.

    Returns:
        float32 `[samples]` at 16 kHz.

    Example:

        >>> changed(np.ones(24_000, np.float32), pitch=1.5, formants=1.0, sample_rate=24_000).size
        10667
    """
    played = resample(samples, round(sample_rate * pitch), SAMPLE_RATE)
    if abs(formants / pitch - 1) < 1e-3:
        return played
    # Frames reach beyond both ends, so that each sample is in four of them.
    count = -(-played.size // _HOP) + 3
    padded = np.zeros((count + 3) * _HOP)
    padded[3 * _HOP : 3 * _HOP + played.size] = played
    window = np.sqrt(np.hanning(_FRAME + 1)[:-1])
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP] * window
    spectra = np.fft.rfft(frames)
    filtered = np.fft.irfft(spectra * _filters(spectra, formants / pitch)) * window
    output = np.zeros_like(padded)
    for quarter in range(4):
        # Every fourth frame follows the one before it without a gap.
        part = filtered[quarter::4].reshape(-1)
        output[quarter * _HOP : quarter * _HOP + part.size] += part
    # The squared windows of four frames add up to 2.
    return (output[3 * _HOP : 3 * _HOP + played.size] / 2).astype(np.float32)


def _filters(spectra: np.ndarray, factor: float) -> np.ndarray:
    """Gains that move the envelope of each spectrum up by a factor, [frames, frequencies]."""
    loudest = np.abs(spectra).max(initial=1e-9)
    levels = np.log(np.maximum(np.abs(spectra), 1e-5 * loudest))
    cepstra = np.fft.irfft(levels)
    cepstra[:, _TRACT : _FRAME - _TRACT + 1] = 0
    envelopes = np.fft.rfft(cepstra).real
    frequencies = np.arange(envelopes.shape[1])
    wanted = np.minimum(frequencies / factor, frequencies[-1])
    below = np.minimum(wanted.astype(int), frequencies[-1] - 1)
    share = wanted - below
    moved = envelopes[:, below] * (1 - share) + envelopes[:, below + 1] * share
    return np.exp(np.clip(moved - envelopes, -_MOST_GAIN, _MOST_GAIN))
