"""How loud samples are: speed aside, what the simplest augmentations change."""

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE, resample
from int4_conformer.data.buckets import stretched

# By how much too loud a recording is that clips, in dB.
_TOO_LOUD_DB = (3.0, 15.0)


def played_at(samples: np.ndarray, speed: float) -> np.ndarray:
    """Samples at another speed, and pitch; float32 [round(samples / speed)].

    Args:
        samples: float32 [samples].
        speed: above 1 is faster.
    """
    if speed == 1.0:
        return samples
    length = int(stretched(np.array(samples.size), speed))
    played = resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE)[:length]
    return np.pad(played, (0, length - played.size))


def limited(samples: np.ndarray) -> np.ndarray:
    """Samples, made softer as a whole if they go beyond [-1, 1]."""
    peak = np.abs(samples).max(initial=0.0)
    return samples if peak <= 1.0 else samples / peak


def with_volume(samples: np.ndarray, most_db: float, rng: np.random.Generator) -> np.ndarray:
    """Samples louder or softer by up to `most_db`, as far as they do not clip."""
    return limited(samples * np.float32(10 ** (rng.uniform(-most_db, most_db) / 20)))


def clipped(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples cut off at some dB below their peak, and as loud as before."""
    peak = np.abs(samples).max(initial=0.0)
    most = np.float32(peak * 10 ** (-rng.uniform(*_TOO_LOUD_DB) / 20))
    return np.clip(samples, -most, most)


def power(samples: np.ndarray) -> float:
    """The mean square of samples."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
