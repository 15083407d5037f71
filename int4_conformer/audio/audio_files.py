"""Decoding audio files to the one form the recogniser hears: mono float32 at one rate."""

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from int4_conformer.errors import UserError

SAMPLE_RATE = 16000  # Hz; the rate of every waveform inside the package.


def read(path: str | os.PathLike, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Decodes a file (WAV, FLAC, Ogg Vorbis, Opus, MP3, ...) of any rate and channel count.

    Args:
      path: the audio file.
      sample_rate: rate of the result in Hz.

    Returns:
      float32 `[samples]` in [-1, 1]; channels are averaged.

    Raises:
      UserError: the file is missing, is no audio, or holds no sample or a NaN or infinity.
    """
    _require_file(path)
    try:
        channels, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise _not_audio(path, error) from error
    if channels.shape[0] == 0:
        raise _no_samples(path)
    if not np.isfinite(channels).all():
        raise UserError(f"{path} holds samples that are NaN or infinite; encode it again.")
    return resample(channels.mean(axis=1), file_rate, sample_rate)


def duration(path: str | os.PathLike) -> float:
    """Seconds of audio in a file, from its header alone.

    Raises:
      UserError: the file is missing, is no audio, or holds no sample.
    """
    _require_file(path)
    try:
        info = soundfile.info(path)
    except soundfile.SoundFileError as error:
        raise _not_audio(path, error) from error
    if info.frames == 0:
        raise _no_samples(path)
    return info.frames / info.samplerate


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


def _require_file(path: str | os.PathLike) -> None:
    if not Path(path).exists():
        raise UserError(f"There is no audio file {path}; check the path.")
    if not Path(path).is_file():
        raise UserError(f"{path} is not a file; name one audio file.")


def _not_audio(path: str | os.PathLike, error: soundfile.SoundFileError) -> UserError:
    reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
    return UserError(
        f"{path} cannot be decoded as audio ({reason}); give a WAV, FLAC, Ogg, Opus or MP3 file."
    )


def _no_samples(path: str | os.PathLike) -> UserError:
    return UserError(f"{path} holds no audio samples; record it again or leave it out.")
