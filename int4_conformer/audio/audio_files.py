"""Decoding audio files to the one form the recogniser hears: mono float32 at one rate."""

import contextlib
import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from int4_conformer.audio import containers
from int4_conformer.audio.containers import Part
from int4_conformer.audio.samples import (
    MIX,
    ChannelMix,
    require_channel,
    require_range,
    require_rate,
    to_mono,
)
from int4_conformer.errors import UserError

SAMPLE_RATE = 16000  # Hz; the rate of every waveform inside the package.
# Of files that are taken for recordings by their names, whether or not they can be decoded.
ENDINGS = frozenset(
    (
        *(".aif", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus"),
        *(".snd", ".sph", ".w64", ".wav", ".webm"),
    )
)

# Samples per channel that are decoded at once.
_BLOCK = 65536
# Samples per channel that are held until it is known which channels are heard: half a minute.
_HELD = 32 * 48000
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
    with opened(path) as file:
        return np.concatenate(list(file.blocks(sample_rate, channel, on_note)))


def duration(path: str | os.PathLike) -> float:
    """Seconds of audio in a file.

    From its header, where that can be checked against the file; else it is decoded.

    Raises:
      UserError: the file is missing, is no audio, or holds no sample.
    """
    with opened(path) as file:
        return file.seconds()


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator["AudioFile"]:
    """Opens an audio file to decode it block by block, however long it is; a pipe is read first.

    Raises:
      UserError: the file is missing or no audio.
    """
    if not Path(path).exists():
        advice = "download it first" if "://" in str(path) else "check the path"
        raise UserError(f"There is no audio file {path}; {advice}.")
    if Path(path).is_dir():
        raise UserError(
            f"{path} is a folder; name an audio file, or have `int4-conformer transcribe_many` "
            "hear all that are in it."
        )
    is_pipe = Path(path).is_fifo()
    if not (Path(path).is_file() or is_pipe):
        raise UserError(f"{path} is not a file; name one audio file.")
    with contextlib.ExitStack() as stack:
        with _reading(path):
            file = stack.enter_context(open(path, "rb"))
            if is_pipe:
                # What it is and how long, only the whole tells.
                copy = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(file, copy)
                file = copy
            audio = AudioFile(file, path)
        yield audio


@contextlib.contextmanager
def opened_bytes(content: bytes, name: str) -> Iterator["AudioFile"]:
    """Likewise an audio file whose bytes are in memory.

    Args:
      content: the bytes.
      name: what to call it; its ending may tell what it is.

    Raises:
      UserError: it is no audio.
    """
    with _reading(name):
        file = AudioFile(io.BytesIO(content), name)
    yield file


@contextlib.contextmanager
def _reading(path: str | os.PathLike) -> Iterator[None]:
    """Makes a sentence of what the system says of a file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file.") from error


class AudioFile:
    """An audio file that `opened` has opened, or bytes that lie elsewhere.

    Args:
      file: its bytes.
      path: its name, or a word for sentences, such as "The upload".

    Example:

        >>> import io, soundfile
        >>> file = io.BytesIO()
        >>> soundfile.write(file, np.zeros(8000), 8000, format="WAV")
        >>> sum(len(block) for block in AudioFile(file, "The upload").blocks())
        16000
    """

    def __init__(self, file: BinaryIO, path: str | os.PathLike) -> None:
        self._path = path
        self._parts = containers.parts(file, path)

    @property
    def channels(self) -> int:
        """How many it has, the most of any of its parts."""
        most = 0
        for part in self._parts:
            with _reading(self._path), _sound(part, self._path) as sound:
                most = max(most, sound.channels)
        return most

    def seconds(self) -> float:
        """How long it is; see `duration`."""
        with _reading(self._path):
            seconds = sum(map(self._part_seconds, self._parts))
        if not seconds:
            raise _no_samples(self._path)
        return seconds

    def _part_seconds(self, part: Part) -> float:
        with _sound(part, self._path) as sound:
            frames = sound.frames
            if frames == _UNKNOWN_LENGTH:
                frames = part.promised_frames
                if frames is None or not _ends_after(sound, frames):
                    frames = sum(map(len, _Decoder(part, self._path).blocks()))
            return frames / sound.samplerate

    def blocks(
        self,
        sample_rate: int = SAMPLE_RATE,
        channel: str | int = MIX,
        on_note: Callable[[str], None] = warnings.warn,
    ) -> Iterator[np.ndarray]:
        """What `read` gives, some seconds at a time, decoded as they are asked for.

        What is told of the end of the file is told at the end; likewise errors come where they are
        met.
        """
        require_rate(sample_rate)
        require_channel(channel)
        with _reading(self._path):
            yield from self._blocks(sample_rate, channel, on_note)

    def _blocks(
        self, sample_rate: int, channel: str | int, on_note: Callable[[str], None]
    ) -> Iterator[np.ndarray]:
        notes: set[str] = set()

        def tell(note: str) -> None:
            if note not in notes:
                notes.add(note)
                on_note(note)

        got, promised, is_cut = 0.0, 0.0, False
        for part in self._parts:
            decoder = _Decoder(part, self._path)
            resampler = None
            for block in _mono_blocks(decoder, channel, tell):
                if resampler is None:
                    resampler = StreamResampler(decoder.rate, sample_rate)
                yield resampler(block, last=False)
            if resampler is not None:
                yield resampler(np.zeros([0], np.float32), last=True)
                got += decoder.frames / decoder.rate
                frames = max(part.promised_frames or 0, decoder.frames / part.kept)
                promised += frames / decoder.rate
            is_cut |= part.is_cut or not decoder.is_whole
        if not got:
            raise _no_samples(self._path)
        if promised > got + _TOLERANCE:
            tell(
                f"{self._path} ends early: its header promises {promised:.2f} s, {got:.2f} s came."
            )
        elif is_cut:
            tell(f"{self._path} ends early or is damaged: {got:.2f} s could be decoded.")


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resamples float32 `[samples]` from `rate` to `new_rate` Hz, clipped to [-1, 1]."""
    if rate != new_rate:
        samples = soxr.resample(samples, rate, new_rate, quality="HQ")
    # The resampler's filter overshoots at full scale, and float files may exceed it.
    return np.clip(samples, -1.0, 1.0, dtype=np.float32)


class StreamResampler:
    """`resample` for audio that comes segment by segment: the same samples, to the bit.

    Args:
        rate: of the audio, in Hz.
        new_rate: what it is made.
    """

    def __init__(self, rate: int, new_rate: int) -> None:
        self._stream = None
        if rate != new_rate:
            self._stream = soxr.ResampleStream(rate, new_rate, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: np.ndarray, *, last: bool) -> np.ndarray:
        """What is ready of float32 `[samples]` and those before; with `last`, all that is left."""
        if self._stream is not None:
            samples = self._stream.resample_chunk(np.ascontiguousarray(samples), last=last)
        return np.clip(samples, -1.0, 1.0, dtype=np.float32)


class _Sound(soundfile.SoundFile):
    """Read from the start to the end.

    A `SoundFile` that says it can seek does so after each block, which fails at the end of a file
    that is cut, and loses what MP3 keeps from one frame to the next.
    """

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def _sound(part: Part, path: str | os.PathLike) -> Iterator[_Sound]:
    try:
        source = part.source if isinstance(part.source, str) else part.source.again()
        with _Sound(source) as sound:
            if not _LEAST_RATE <= sound.samplerate <= _MOST_RATE:
                raise UserError(
                    f"{path} says that its sample rate is {sound.samplerate} Hz, which no "
                    "recording has; encode it again."
                )
            yield sound
    except soundfile.SoundFileError as error:
        raise _not_audio(path, error) from error


class _Decoder:
    """Decodes a part of a file, once.

    Args:
        part: the part.
        path: of the file.
    """

    def __init__(self, part: Part, path: str | os.PathLike) -> None:
        self.part = part
        self.path = path
        # Of what was decoded: its rate in Hz, how much it was, and whether all went well.
        self.rate = 0
        self.frames = 0
        self.is_whole = True

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 `[samples, channels]` at a time."""
        with _sound(self.part, self.path) as sound:
            self.rate = sound.samplerate
            while True:
                block = np.full([_BLOCK, sound.channels], np.nan, np.float32)
                try:
                    block = sound.read(out=block)
                except soundfile.SoundFileError:
                    # What was decoded before the error is in the block, and not how much that is.
                    self.is_whole = False
                    block = block[: np.logical_and.accumulate(~np.isnan(block[:, -1])).sum()]
                if len(block) == 0:
                    return
                self.frames += len(block)
                yield block


def _mono_blocks(
    decoder: _Decoder, channel: str | int, tell: Callable[[str], None]
) -> Iterator[np.ndarray]:
    """float32 `[samples]` of the channel, checked."""
    name, mix, held = str(decoder.path), None, []
    for block in decoder.blocks():
        require_range(block, name)
        if channel != MIX or block.shape[1] == 1:
            yield to_mono(block, channel, name)[0]
            continue
        # Whether channels cancel each other, only all samples tell: what does not fit in memory
        # until then is decoded again.
        mix = mix or ChannelMix(block.shape[1], name)
        mix.look(block)
        if decoder.frames <= _HELD:
            held.append(block)
    if mix is not None:
        if mix.note is not None:
            tell(mix.note)
        again = held if decoder.frames <= _HELD else _Decoder(decoder.part, decoder.path).blocks()
        yield from map(mix.mono, again)


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
