"""Pauses around recordings, as microphones hear them that are on before anyone speaks."""

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE

# Samples whose power tells how quiet a recording is where nobody speaks, and the share of the
# quietest of them.
_FRAME, _QUIETEST = SAMPLE_RATE // 100, 0.1


def with_pauses(
    samples: np.ndarray, before: int, after: int, rng: np.random.Generator
) -> np.ndarray:
    """Samples between pauses, noise as soft as the recording is where it is softest.

    Args:
        samples: float32 [samples].
        before: samples of the pause before them.
        after: samples of that behind them.
        rng: makes the noise.

    Returns:
        float32 [before + samples + after].
    """
    noise = _floor(samples) * rng.standard_normal(before + after, np.float32)
    return np.concatenate([noise[:before], samples, noise[before:]])


def _floor(samples: np.ndarray) -> np.float32:
    """The deviation of samples where they are quietest."""
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    if not len(frames):
        return np.float32(0.0)
    return np.sqrt(np.quantile(np.square(frames).mean(axis=1), _QUIETEST))
