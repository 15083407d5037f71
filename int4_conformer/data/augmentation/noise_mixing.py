"""Noise beside speech, at a ratio of their powers."""

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE
from int4_conformer.data.augmentation.levels import limited, power
from int4_conformer.data.sources.noise import NoiseUtterance

# Of `NoiseUtterance`, those that are made of nothing.
_KINDS = ("white", "pink", "brown", "hum", "clicks")
# Noise is scaled anyway.
_LEVEL_DB = -20.0


def mixed(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Speech with noise so loud that their powers have a ratio; made softer if it would clip.

    Args:
        speech: float32 [samples].
        noise: float32 [samples].
        snr_db: 10 * log10 of the ratio of powers.

    Returns:
        float32 [samples] in [-1, 1]; the speech as it is where one of the two is silent.
    """
    speech_power, noise_power = power(speech), power(noise)
    if not speech_power or not noise_power:
        return speech
    gain = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))
    return limited(speech + noise * np.float32(gain))


def synthetic_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of some colour, hum or clicks; float32 [count]."""
    utterance = NoiseUtterance(
        kind=str(rng.choice(_KINDS)),
        duration=count / SAMPLE_RATE,
        level_db=_LEVEL_DB,
        seed=int(rng.integers(2**63)),
    )
    return np.resize(utterance.samples(), count)
