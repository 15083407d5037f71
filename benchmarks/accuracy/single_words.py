"""Single words out of longer recordings, where pauses tell them apart."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from int4_conformer.audio.audio_files import SAMPLE_RATE, read

_FRAME = SAMPLE_RATE // 100
# Decibels: speech is so far above the quietest tenth of frames, and no further below the loudest.
_ABOVE_FLOOR, _BELOW_TOP = 6.0, 25.0
# Seconds: pauses that are tried, from the shortest, which words' own closures can be; and the
# shortest word.
_PAUSES = (0.04, 0.06, 0.08, 0.10, 0.15, 0.20)
_SHORTEST = 0.08


def single_words(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of a manifest for the words of a line, cut tight; none where pauses do not tell.

    A recording is cut if, for some length of pauses, it has as many stretches of speech as words.
    """
    words = line["text"].split()
    samples = read(line["audio"])
    for pause in _PAUSES:
        stretches = speech(samples, pause)
        if len(stretches) == len(words):
            for word, (begin, end) in zip(words, stretches, strict=True):
                yield line | {"text": word, "offset": begin, "duration": end - begin}
            return


def speech(samples: np.ndarray, pause: float) -> list[tuple[float, float]]:
    """Where speech begins and ends, in seconds.

    Args:
        samples: float32 `[samples]` at 16 kHz.
        pause: seconds; a shorter one is within a stretch of speech.
    """
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    decibels = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
    smooth = np.convolve(decibels, np.full(3, 1 / 3), "same")
    floor, top = np.percentile(smooth, (10, 95))
    loud = smooth > max(floor + _ABOVE_FLOOR, top - _BELOW_TOP)
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)).reshape(-1, 2) / 100
    joined: list[tuple[float, float]] = []
    for begin, end in edges.tolist():
        if joined and begin - joined[-1][1] < pause:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return [(begin, end) for begin, end in joined if end - begin >= _SHORTEST]
