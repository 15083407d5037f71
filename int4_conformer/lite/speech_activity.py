"""Tells what may be speech from silence and steady noise, by how loud it is where vowels are.

The level of speech between 300 and 1000 Hz goes up and down by 20 dB and more with each syllable;
that of a fan, of hum or of a radio between stations stays within 3 dB. So a stretch of audio is
active where this level stands out from the lowest one of the last 0.6 s, the noise floor. Few
noises have their power there, so that a voice stands out from noise that is as loud as itself. In
the differences of neighbouring samples, which are what is measured, rumble is quiet as well.
"""

import collections
import functools

import numpy as np

# What the level has to stand out by, and what counts as silence: the noise of good microphones is
# below, the quietest speech in a room above.
_MARGIN_DB = 7.0
_LEAST_DB = -85.0
# Blocks of 10 ms: of a spectrum, of a level, of the noise floor, and of an utterance too short to
# have one.
_WINDOW, _SMOOTHED, _REMEMBERED, _TOO_SHORT = 2, 5, 60, 60
_LOWEST_HZ, _HIGHEST_HZ = 300.0, 1000.0


class SpeechActivity:
    """Hears a stream, and says when there was last what may be speech.

    Args:
        sample_rate: in Hz.

    Example:

        >>> activity = SpeechActivity(16000)
        >>> activity.hear(np.random.default_rng(0).uniform(-0.1, 0.1, 32000).astype(np.float32))
        >>> activity.last_active is None
        True
    """

    def __init__(self, sample_rate: int) -> None:
        self._block = sample_rate // 100
        # The last sample, none at the start, and the differences that further windows begin with.
        self._before = np.zeros([0], np.float32)
        self._rest = np.zeros([0])
        self._squares: collections.deque[float] = collections.deque(maxlen=_SMOOTHED)
        # The noise floor is the lowest of them.
        self._levels: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)
        self._blocks = 0
        # Seconds from the first sample to the end of the last active block; None if none was.
        self.last_active: float | None = None

    def hear(self, pcm: np.ndarray) -> None:
        """Hears what follows, float32 [samples]."""
        if not len(pcm):
            return
        differences = _differences(self._before, pcm)
        differences = np.append(self._rest, differences)
        squares = _squares(differences, self._block)
        self._before = pcm[-1:]
        self._rest = differences[len(squares) * self._block :]
        for square in squares.tolist():
            self._add(square)

    def _add(self, square: float) -> None:
        self._blocks += 1
        self._squares.append(square)
        if len(self._squares) < _SMOOTHED:
            return
        if min(self._squares) == 0.0:
            # A recorder's zeros are no floor: whatever comes after them would stand out.
            return
        level = max(float(_decibels(sum(self._squares) / _SMOOTHED)), _LEAST_DB)
        self._levels.append(level)
        if level >= min(self._levels) + _MARGIN_DB:
            self.last_active = (self._blocks + _WINDOW - 1) * 0.01


def may_hold_speech(pcm: np.ndarray, sample_rate: int) -> bool:
    """Whether a whole utterance holds more than silence and steady noise.

    Of less than 0.6 s, where all may be one vowel, only the loudness counts.

    Args:
        pcm: float32 [samples].
        sample_rate: in Hz.
    """
    levels, is_floor = _levels(pcm, sample_rate)
    if not len(levels):
        # Too short even for a level.
        return bool(np.max(np.abs(pcm), initial=0.0) > 0.0)
    is_short = len(levels) + _SMOOTHED - 1 < _TOO_SHORT
    levels = levels[is_floor]
    if is_short or not len(levels):
        return bool(np.max(levels, initial=_LEAST_DB) > _LEAST_DB)
    # What stands out does so from a floor before it or behind it.
    starts = np.arange(0, len(levels), _REMEMBERED // 2)
    lowest = np.minimum.reduceat(levels, starts)
    highest = np.maximum.reduceat(levels, starts)
    around = np.pad(lowest, 2, constant_values=np.inf)
    floors = np.min([around[place : place + len(lowest)] for place in range(5)], axis=0)
    return bool(np.any(highest >= floors + _MARGIN_DB))


def pauses(pcm: np.ndarray, sample_rate: int) -> list[tuple[float, float]]:
    """Where nothing stands out from the noise before it and behind it.

    Args:
        pcm: float32 [samples].
        sample_rate: in Hz.

    Returns:
        start and end of each pause, in seconds.
    """
    levels, is_floor = _levels(pcm, sample_rate)
    if not len(levels):
        return []
    floors = np.pad(np.where(is_floor, levels, np.inf), _REMEMBERED, constant_values=np.inf)
    around = np.lib.stride_tricks.sliding_window_view(floors, 2 * _REMEMBERED + 1)
    is_quiet = ~is_floor | (levels < around.min(axis=1) + _MARGIN_DB)
    edges = np.flatnonzero(np.diff(is_quiet, prepend=False, append=False)).reshape(-1, 2)
    # A level is of all windows that are in it.
    spans = edges * 0.01 + [0.0, (_SMOOTHED + _WINDOW - 2) * 0.01]
    return [(float(start), float(end)) for start, end in spans]


def _levels(pcm: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels in dB, one every 10 ms, and which of them may be a floor: a recorder's zeros are none.

    Float64 and bool [levels]; none of what is too short.
    """
    squares = _squares(_differences(pcm[:0], pcm), sample_rate // 100)
    if len(squares) < _SMOOTHED:
        return np.zeros([0]), np.zeros([0], bool)
    windows = np.lib.stride_tricks.sliding_window_view(squares, _SMOOTHED)
    return np.maximum(_decibels(windows.mean(axis=1)), _LEAST_DB), windows.min(axis=1) > 0.0


def _differences(before: np.ndarray, pcm: np.ndarray) -> np.ndarray:
    """Of each sample from the one before it, float64 [samples]; the first may have none."""
    before = before if len(before) else pcm[:1]
    return np.diff(np.append(before, pcm)).astype(np.float64)


def _squares(differences: np.ndarray, block: int) -> np.ndarray:
    """Mean square of the band in each window of 20 ms, one every 10 ms, float64 [windows]."""
    size = _WINDOW * block
    if len(differences) < size:
        return np.zeros([0])
    windows = np.lib.stride_tricks.sliding_window_view(differences, size)[::block]
    return np.sum(np.square(windows @ _band(size)), axis=1)


@functools.cache
def _band(size: int) -> np.ndarray:
    """Cosines and sines of the band under a Hann window, float64 [size, waves]."""
    times = np.arange(size)
    # A window of 20 ms holds whole periods of every multiple of 50 Hz.
    step = 100.0 / _WINDOW
    cycles = np.arange(round(_LOWEST_HZ / step), round(_HIGHEST_HZ / step) + 1)
    phases = 2.0 * np.pi * np.outer(times, cycles) / size
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * times / size)
    # So that the sum of squares of all waves up to half the rate would be the mean square.
    scale = np.sqrt(2.0 / size / np.sum(hann * hann))
    return scale * hann[:, None] * np.concatenate([np.cos(phases), np.sin(phases)], axis=1)


def _decibels(square: np.ndarray | float) -> np.ndarray:
    return 10.0 * np.log10(np.asarray(square) + 1e-12)
