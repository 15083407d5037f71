"""Tells what may be speech from silence and steady noise, by how loud it is.

The level of speech goes up and down by 20 dB and more within a second; that of a fan, of hum or of
a radio between stations stays within 3 dB. So a stretch of audio is active where its level stands
out from the lowest one of the last 1.5 s, the noise floor. Levels are those of 50 ms, of the
differences of neighbouring samples: thereby what rumbles is quiet.
"""

import collections

import numpy as np

# What the level has to stand out by, and what counts as silence: the noise of good microphones is
# below, the quietest speech in a room above.
_MARGIN_DB = 6.0
_LEAST_DB = -75.0
# Blocks of 10 ms: of a level, of the noise floor, and of an utterance too short to have one.
_SMOOTHED, _REMEMBERED, _TOO_SHORT = 5, 150, 60


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
        # The last sample, none at the start, and those behind it that make no block yet.
        self._before = np.zeros([0], np.float32)
        self._rest = np.zeros([0], np.float32)
        self._squares: collections.deque[float] = collections.deque(maxlen=_SMOOTHED)
        # The noise floor is the lowest of them.
        self._levels: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)
        self._blocks = 0
        # Seconds from the first sample to the end of the last active block; None if none was.
        self.last_active: float | None = None

    def hear(self, pcm: np.ndarray) -> None:
        """Hears what follows, float32 [samples]."""
        pcm = np.concatenate([self._rest, pcm])
        whole, self._rest = np.split(pcm, [len(pcm) // self._block * self._block])
        before = self._before if len(self._before) else whole[:1]
        for square in _squares(before, whole, self._block).tolist():
            self._add(square)
        self._before = np.append(self._before, whole)[-1:]

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
            self.last_active = self._blocks * 0.01


def may_hold_speech(pcm: np.ndarray, sample_rate: int) -> bool:
    """Whether a whole utterance holds more than silence and steady noise.

    Of less than 0.6 s, where all may be one vowel, only the loudness counts.

    Args:
        pcm: float32 [samples].
        sample_rate: in Hz.
    """
    block = sample_rate // 100
    squares = _squares(pcm[:1], pcm[: len(pcm) // block * block], block)
    if len(squares) < _SMOOTHED:
        # Too short even for a level.
        return bool(np.max(np.abs(pcm), initial=0.0) > 0.0)
    windows = np.lib.stride_tricks.sliding_window_view(squares, _SMOOTHED)
    levels = np.maximum(_decibels(windows.mean(axis=1)), _LEAST_DB)
    levels = levels[windows.min(axis=1) > 0.0]
    if len(squares) < _TOO_SHORT or not len(levels):
        return bool(np.max(levels, initial=_LEAST_DB) > _LEAST_DB)
    # What stands out does so from a floor before it or behind it.
    starts = np.arange(0, len(levels), _REMEMBERED // 2)
    lowest = np.minimum.reduceat(levels, starts)
    highest = np.maximum.reduceat(levels, starts)
    around = np.pad(lowest, 2, constant_values=np.inf)
    floors = np.min([around[place : place + len(lowest)] for place in range(5)], axis=0)
    return bool(np.any(highest >= floors + _MARGIN_DB))


def _squares(before: np.ndarray, pcm: np.ndarray, block: int) -> np.ndarray:
    """Mean square of the differences of neighbours in each block, float64 [blocks]."""
    blocks = np.diff(np.append(before, pcm)).astype(np.float64).reshape(-1, block)
    return np.mean(blocks * blocks, axis=1)


def _decibels(square: np.ndarray | float) -> np.ndarray:
    return 10.0 * np.log10(np.asarray(square) + 1e-12)
