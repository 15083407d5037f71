"""Samples as people have them, made those that a model takes: mono, at its rate."""

import warnings
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from int4_conformer.audio.samples import MIX, as_array, as_float, require_rate, to_mono


def mono(samples: np.ndarray) -> np.ndarray:
    """Checked float32 `[samples]` in [-1, 1]."""
    pcm = as_float(samples)
    if pcm.ndim == 2:
        pcm, note = to_mono(pcm, MIX, "`samples`")
        if note is not None:
            warnings.warn(note, stacklevel=2)
    return np.clip(pcm, -1.0, 1.0, dtype=np.float32)


def stream_resampler(rate: int, new_rate: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    """What makes a model's input of audio that comes bit by bit, and of what is left at the end."""
    require_rate(rate)
    if rate == new_rate:
        return lambda samples, last: samples if last else mono(samples)
    # Its library loads only when needed.
    from int4_conformer.audio.audio_files import StreamResampler

    resampler = StreamResampler(rate, new_rate)
    return lambda samples, last: resampler(samples if last else mono(samples), last=last)


def resampled(audio: Iterable[np.ndarray], rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """A model's input of audio that comes bit by bit, to its end."""
    to_pcm = stream_resampler(rate, new_rate)
    for samples in audio:
        if as_array(samples).size:
            yield to_pcm(samples, False)
    yield to_pcm(np.zeros([0], np.float32), True)
