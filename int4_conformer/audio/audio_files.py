"""Decoding audio files to the one form the recogniser hears: mono float32 at one rate."""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from int4_conformer.audio import containers
from int4_conformer.audio.containers import Part
from int4_conformer.audio.samples import (
    MIX,
    require_channel,
    require_range,
    require_rate,
    to_mono,
)
from int4_conformer.errors import UserError

SAMPLE_RATE = 16000  # Hz; the rate of every waveform inside the package.

# Samples per channel that are decoded at once.
_BLOCK = 65536
# What libsndfile says where a header does not.
_UNKNOWN_LENGTH = 2**63 - 1
# Rates in Hz that a recording has; a header that says another is wrong, and would be costly.
_LEAST_RATE, _MOST_RATE = 1000, 1_000_000
# Seconds that may be missing of what a header promises without being missed.
_TOLERANCE = 0.01


def read(
    path: str | os.PathLike,
    sample_rate: int = SAMPLE_RATE,
    channel: str | int = MIX,
    on_note: Callable[[str], None] = warnings.warn,
) -> np.ndarray:
    """Decodes a file (WAV, FLAC, Ogg Vorbis, Opus, MP3, ...) of any rate and channel count.

    It decodes to the end of the file, whatever the header says of its length. Of a pipe all is read
    that comes.

    Args:
      path: the audio file.
      sample_rate: rate of the result in Hz.
      channel: "mix" averages the channels, or takes the loudest where they cancel each other;
        "left", "right" or a number from 1 on takes one.
      on_note: is told, in a sentence that names the file, what is odd about it but no reason to
        refuse it: that it ends early, or that its channels cancel each other.

    Returns:
      float32 `[samples]` in [-1, 1].

    Raises:
      UserError: the file is missing, is no audio, has no such channel, or holds no sample or some
        that are not finite or far outside of [-1, 1].
    """
    require_rate(sample_rate)
    require_channel(channel)
    pieces, notes, got, promised, is_cut = [], [], 0.0, 0.0, False
    with _opened(path) as file:
        for part in containers.parts(file, path):
            channels, rate, is_whole = _decode(part, path)
            frames = len(channels)
            got += frames / rate
            promised += max(part.promised_frames or 0, frames / part.kept) / rate
            is_cut |= part.is_cut or not is_whole
            if frames:
                require_range(channels, str(path))
                mono, note = to_mono(channels, channel, str(path))
                notes.append(note)
                pieces.append(resample(mono, rate, sample_rate))
    if not pieces:
        raise _no_samples(path)
    if promised > got + _TOLERANCE:
        notes.append(f"{path} ends early: its header promises {promised:.2f} s, {got:.2f} s came.")
    elif is_cut:
        notes.append(f"{path} ends early or is damaged: {got:.2f} s could be decoded.")
    for note in dict.fromkeys(filter(None, notes)):
        on_note(note)
    return np.concatenate(pieces)


def duration(path: str | os.PathLike) -> float:
    """Seconds of audio in a file.

    From its header, where that can be checked against the file; else it is decoded.

    Raises:
      UserError: the file is missing, is no audio, or holds no sample.
    """
    seconds = 0.0
    with _opened(path) as file:
        for part in containers.parts(file, path):
            with _sound(part, path) as sound:
                frames, rate = sound.frames, sound.samplerate
                if frames == _UNKNOWN_LENGTH:
                    frames = part.promised_frames
                    if frames is None or not _ends_after(sound, frames):
                        frames = len(_decode(part, path)[0])
            seconds += frames / rate
    if not seconds:
        raise _no_samples(path)
    return seconds


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resamples float32 `[samples]` from `rate` to `new_rate` Hz, clipped to [-1, 1]."""
    if rate != new_rate:
        samples = soxr.resample(samples, rate, new_rate, quality="HQ")
    # The resampler's filter overshoots at full scale, and float files may exceed it.
    return np.clip(samples, -1.0, 1.0, dtype=np.float32)


class StreamResampler:
    """`resample` for audio that comes segment by segment.

    Args:
        rate: of the audio, in Hz.
        new_rate: what it is made.
    """

    def __init__(self, rate: int, new_rate: int) -> None:
        self._stream = soxr.ResampleStream(rate, new_rate, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: np.ndarray, *, last: bool) -> np.ndarray:
        """What is ready of float32 `[samples]` and those before; with `last`, all that is left."""
        resampled = self._stream.resample_chunk(samples, last=last)
        return np.clip(resampled, -1.0, 1.0, dtype=np.float32)


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file's bytes; a pipe is read first."""
    if not Path(path).exists():
        raise UserError(f"There is no audio file {path}; check the path.")
    is_pipe = Path(path).is_fifo()
    if not (Path(path).is_file() or is_pipe):
        raise UserError(f"{path} is not a file; name one audio file.")
    try:
        with open(path, "rb") as file:
            yield io.BytesIO(file.read()) if is_pipe else file
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file.") from error


class _Sound(soundfile.SoundFile):
    """Read from the start to the end.

    A `SoundFile` that says it can seek does so after each block, which fails at the end of a file
    that is cut, and loses what MP3 keeps from one frame to the next.
    """

    def seekable(self) -> bool:
        return False


@contextmanager
def _sound(part: Part, path: str | os.PathLike) -> Iterator[_Sound]:
    try:
        if not isinstance(part.source, str):
            part.source.seek(0)
        with _Sound(part.source) as sound:
            if not _LEAST_RATE <= sound.samplerate <= _MOST_RATE:
                raise UserError(
                    f"{path} says that its sample rate is {sound.samplerate} Hz, which no "
                    "recording has; encode it again."
                )
            yield sound
    except soundfile.SoundFileError as error:
        raise _not_audio(path, error) from error


def _decode(part: Part, path: str | os.PathLike) -> tuple[np.ndarray, int, bool]:
    """float32 `[samples, channels]`, their rate, and whether all went well."""
    blocks, is_whole = [], True
    with _sound(part, path) as sound:
        while True:
            block = np.full([_BLOCK, sound.channels], np.nan, np.float32)
            try:
                block = sound.read(out=block)
            except soundfile.SoundFileError:
                # What was decoded before the error is in the block, and not how much that is.
                is_whole = False
                block = block[: np.logical_and.accumulate(~np.isnan(block[:, -1])).sum()]
            if len(block) == 0:
                return np.concatenate([block, *blocks]), sound.samplerate, is_whole
            blocks.append(block)


def _ends_after(sound: _Sound, frames: int) -> bool:
    """Whether there are so many samples and not one more."""
    try:
        return sound.seek(frames - 1) == frames - 1 and len(sound.read(2)) == 1
    except soundfile.SoundFileError:
        return False


def _not_audio(path: str | os.PathLike, error: soundfile.SoundFileError) -> UserError:
    reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
    return UserError(
        f"{path} cannot be decoded as audio ({reason}); give a WAV, FLAC, Ogg, Opus or MP3 file."
    )


def _no_samples(path: str | os.PathLike) -> UserError:
    return UserError(f"{path} holds no audio samples; record it again or leave it out.")
