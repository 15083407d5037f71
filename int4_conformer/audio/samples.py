"""Samples as people have them, checked and made those that a recogniser hears: mono float32."""

import math
import numbers
from typing import Any

import numpy as np

from int4_conformer.errors import UserError

MIX = "mix"
_NAMED = {"left": 1, "right": 2}
# Resamplers and float files overshoot 1 by a little; 16-bit samples cast to float by thousands.
MAX_PEAK = 4.0
MAX_CHANNELS = 8
# A mix of channels that have nothing to do with each other keeps all of the energy that they bring
# into it; with less than this part of it they cancel each other.
LEAST_KEPT = 0.5


def require_rate(sample_rate: Any) -> None:
    """Refuses what is no rate in Hz."""
    if (
        not isinstance(sample_rate, numbers.Real)
        or isinstance(sample_rate, bool)
        or not 0 < sample_rate < math.inf
    ):
        raise UserError(
            f"`sample_rate` must be positive, a number of Hz. Received: sample_rate={sample_rate!r}"
        )


def require_channel(channel: Any) -> None:
    """Refuses what does not name a channel: "mix", "left", "right" or a number from 1 on."""
    if channel not in (MIX, *_NAMED) and not (str(channel).isdecimal() and int(channel) > 0):
        raise UserError(
            "`channel` must be mix, left, right or a number from 1 on. "
            f"Received: channel={channel!r}"
        )


def require_range(samples: np.ndarray, name: str) -> None:
    """Refuses float samples that are not finite or not in [-1, 1], but for a little overshoot.

    Args:
        samples: of any shape.
        name: what the sentence calls them, such as their file.
    """
    # NaN is the least and the greatest, too.
    peak = max(-samples.min(initial=0.0), samples.max(initial=0.0))
    if not np.isfinite(peak):
        raise UserError(f"{name} holds samples that are NaN or infinite; encode the audio again.")
    if peak > MAX_PEAK:
        raise UserError(
            f"{name} holds a peak of {peak:g}, and float samples must be in [-1, 1]; divide "
            "16-bit samples by 32768, or keep them as int16."
        )


def as_array(samples: Any) -> np.ndarray:
    """Samples as NumPy has them, of any type and shape; refuses lists that are no array."""
    try:
        return np.asarray(samples)
    except ValueError as error:
        raise UserError(
            f"`samples` must be one array of numbers. Received: a {type(samples).__name__} of "
            "parts of different lengths"
        ) from error


def as_float(samples: Any) -> np.ndarray:
    """Checked float32 `[samples]` or `[samples, channels]`, in [-1, 1] but for a little overshoot.

    Args:
        samples: float32 in [-1, 1] or int16.

    Raises:
        UserError: they have another type or shape, are none, or are not finite.
    """
    array = as_array(samples)
    if array.dtype not in (np.float32, np.int16):
        kind = {"S": "bytes", "U": "a text"}.get(array.dtype.kind, array.dtype)
        raise UserError(
            f"`samples` must be float32 in [-1, 1] or int16. Received: {kind}; {_advice(array)}."
        )
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] > MAX_CHANNELS):
        raise UserError(
            "`samples` must be [samples] or [samples, channels] with at most "
            f"{MAX_CHANNELS} channels. Received: shape {list(array.shape)}"
        )
    if array.size == 0:
        raise UserError(f"`samples` holds no sample. Received: shape {list(array.shape)}")
    if array.dtype == np.int16:
        return array / np.float32(32768)
    require_range(array, "`samples`")
    return array


def to_mono(channels: np.ndarray, channel: str | int, name: str) -> tuple[np.ndarray, str | None]:
    """One channel of float `[samples, channels]`, and a sentence if it is not the one asked for.

    Args:
        channels: the samples.
        channel: "mix" averages; where channels cancel each other, as in a recording with one of
            them reversed, the louder one is taken, and the sentence says so. Else "left", "right"
            or a number from 1 on.
        name: what sentences call them, such as their file.

    Returns:
        `[samples]`, of the same type.

    Raises:
        UserError: there is no such channel.
    """
    count = channels.shape[1]
    if channel != MIX:
        number = _NAMED.get(channel) or int(channel)
        if number > count:
            raise UserError(
                f"{name} has no channel {channel!r}; it has {count}, numbered from 1 on."
            )
        return channels[:, number - 1], None
    if count == 1:
        return channels[:, 0], None
    mix = ChannelMix(count, name)
    mix.look(channels)
    return mix.mono(channels), mix.note


class ChannelMix:
    """The mean of channels, or the loudest of them where they cancel each other.

    Args:
        count: how many there are.
        name: what sentences call them, such as their file.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._samples = 0
        # Of each channel, and last of their mean: sums and sums of squares.
        self._sums = np.zeros([2, count + 1])

    def look(self, channels: np.ndarray) -> None:
        """Looks at float `[samples, channels]`; all of them, before any is mixed."""
        both = np.append(channels, channels.mean(axis=1, keepdims=True), axis=1)
        both = both.astype(np.float64)
        self._samples += len(both)
        self._sums += [both.sum(axis=0), np.square(both).sum(axis=0)]

    @property
    def note(self) -> str | None:
        """A sentence if one channel is taken instead of the mean."""
        louder = self._louder()
        if louder is None:
            return None
        return (
            f"{self._name} has channels that cancel each other; the louder one, channel "
            f"{louder + 1} of {self._count}, was taken instead of their mix."
        )

    def mono(self, channels: np.ndarray) -> np.ndarray:
        """`[samples]` of `[samples, channels]`, of the same type."""
        louder = self._louder()
        return channels.mean(axis=1) if louder is None else channels[:, louder]

    def _louder(self) -> int | None:
        # Without direct current, which may cancel.
        means, squares = self._sums / max(self._samples, 1)
        *energies, kept = squares - means * means
        if kept >= LEAST_KEPT * sum(energies) / self._count**2:
            return None
        return int(np.argmax(energies))


def _advice(array: np.ndarray) -> str:
    """How to make the right samples of what was given."""
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    if kind == "U":
        return "decode a file with int4_conformer.audio.audio_files.read(path)"
    if kind == "S":
        return "make samples of 16-bit PCM with numpy.frombuffer(data, numpy.int16)"
    if array.dtype == np.uint8:
        return (
            "of 8-bit samples make (samples.astype(numpy.float32) - 128) / 128, of the bytes of "
            "16-bit PCM samples.view(numpy.int16)"
        )
    if kind in "iu":
        bounds = np.iinfo(np.int16)
        if bits > 8 and bounds.min <= array.min(initial=0) <= array.max(initial=0) <= bounds.max:
            return "they fit in 16 bits: make numpy.asarray(samples, numpy.int16)"
        full_scale = f"2**{bits - (kind == 'i')}"
        return f"make (samples / {full_scale}).astype(numpy.float32)"
    if kind == "f":
        return "make numpy.asarray(samples, numpy.float32)"
    return "give a NumPy array of samples"
