"""What every corpus is made of: a recording and its transcript."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Callable

import numpy as np
import soundfile

from int4_conformer.audio import audio_files
from int4_conformer.audio.samples import MIX
from int4_conformer.errors import UserError

# Formats whose samples stand for themselves, so that decoding may begin anywhere. What is decoded
# of others depends on what came before.
_SEEKABLE = {"WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """A recording, or a segment of one, and its transcript."""

    # Absolute path of the audio file.
    audio: str
    # Transcript as published, not normalised.
    text: str
    # Seconds, as the corpus claims; manifests often round it. What is decoded has the last word.
    duration: float
    # Seconds into the file at which a segment of `duration` begins; None takes the whole file,
    # however long it is.
    offset: float | None = None
    # "" where the corpus does not say.
    speaker: str = ""
    split: str = "train"
    # Where the corpus names it, such as "Line 7 of a.jsonl".
    origin: str = dataclasses.field(default="", compare=False)

    @property
    def id(self) -> str:
        """What reports call the utterance."""
        return self.audio if self.offset is None else f"{self.audio}@{self.offset:g}"

    @property
    def where(self) -> str:
        """Where to look for it."""
        return f"{self.origin} ({self.id})" if self.origin else self.id

    def samples(
        self,
        sample_rate: int = audio_files.SAMPLE_RATE,
        on_note: Callable[[str], None] = warnings.warn,
        channel: str | int = MIX,
    ) -> np.ndarray:
        """The waveform, float32 `[samples]` in [-1, 1], decoded on each call.

        Args:
            sample_rate: of the waveform, in Hz.
            on_note: is told what is odd about the file, as `audio_files.read` does.
            channel: which is heard, as of `audio_files.read`.

        Raises:
            UserError: the file cannot be decoded, or ends before the segment begins.
        """
        if self.offset is None:
            return audio_files.read(self.audio, sample_rate, channel, on_note)
        samples = _segment(self.audio, self.offset, self.duration, sample_rate, channel)
        if not samples.size:
            raise UserError(
                f"{self.audio} ends before {self.offset:g} s, where the segment begins; "
                "mend its `offset`."
            )
        return samples

    def length(
        self,
        sample_rate: int = audio_files.SAMPLE_RATE,
        on_note: Callable[[str], None] = warnings.warn,
    ) -> int:
        """How many `samples` there are, of which few are held at a time; likewise."""
        if self.offset is not None:
            return self.samples(sample_rate, on_note).size
        with audio_files.opened(self.audio) as file:
            return sum(map(len, file.blocks(sample_rate, on_note=on_note)))


def _segment(
    path: str, start: float, seconds: float, sample_rate: int, channel: str | int
) -> np.ndarray:
    """float32 `[samples]` of a part of what `audio_files.read` gives; none if it ends before."""
    first = round(start * sample_rate)
    count = max(1, round(seconds * sample_rate))
    part = _sought(path, first, count, sample_rate) if channel == MIX else None
    if part is None:
        # Its time is in the key: a file that was written anew is decoded anew.
        modified = os.stat(path).st_mtime_ns if os.path.isfile(path) else 0
        part = _whole(path, sample_rate, channel, modified)[first : first + count]
    return part


def _sought(path: str, first: int, count: int, sample_rate: int) -> np.ndarray | None:
    """The part where decoding may begin at it and gives the very samples, else None."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.format not in _SEEKABLE or file.channels > 1 or file.samplerate != sample_rate:
                return None
            file.seek(first)
            part = file.read(count, dtype="float32")
    except soundfile.SoundFileError:
        return None
    # Fewer: the part goes beyond the file, or the file lies about its length.
    is_sound = part.size == count and np.abs(part).max(initial=0.0) <= 1.0
    return part if is_sound else None


# Segments of one file mostly follow each other.
@functools.lru_cache(maxsize=2)
def _whole(path: str, sample_rate: int, channel: str | int, modified: int) -> np.ndarray:
    return audio_files.read(path, sample_rate, channel)
