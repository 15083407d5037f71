"""What every corpus is made of: a recording and its transcript."""

import contextlib
import dataclasses
import functools
import os
import warnings
from collections.abc import Callable

import numpy as np
import soundfile

from int4_conformer.audio import audio_files
from int4_conformer.audio.audio_files import AudioFile
from int4_conformer.audio.samples import MIX
from int4_conformer.data.sources.contents import Contents
from int4_conformer.errors import UserError

# Formats whose samples stand for themselves, so that decoding may begin anywhere. What is decoded
# of others depends on what came before.
_SEEKABLE = {"WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """A recording, or a segment of one, and its transcript."""

    # Absolute path of the audio file, or what to call its `contents`.
    audio: str
    # Transcript as published, not normalised.
    text: str
    # Seconds, as the corpus claims; manifests often round it. What is decoded has the last word.
    # NaN where nothing else tells.
    duration: float
    # Seconds into the file at which a segment of `duration` begins; None takes the whole file,
    # however long it is.
    offset: float | None = None
    # Which channel is heard, as `audio_files.read` takes it.
    channel: str | int = MIX
    # The audio, where it is no file of its own.
    contents: Contents | None = None
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
    ) -> np.ndarray:
        """The waveform, float32 `[samples]` in [-1, 1], decoded on each call.

        Args:
            sample_rate: of the waveform, in Hz.
            on_note: is told what is odd about the file, as `audio_files.read` does.

        Raises:
            UserError: the file cannot be decoded, or ends before the segment begins.
        """
        if self.offset is None:
            with self._opened() as file:
                return np.concatenate(list(file.blocks(sample_rate, self.channel, on_note)))
        samples = self._segment(sample_rate)
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
        if self.contents is not None:
            known = self.contents.known_length(sample_rate)
            if known is not None:
                return known
        with self._opened() as file:
            return sum(map(len, file.blocks(sample_rate, self.channel, on_note)))

    def told_length(self, sample_rate: int = audio_files.SAMPLE_RATE) -> int:
        """How many `samples` there should be, found without decoding them where a header or the
        corpus tells; what is decoded has the last word.

        Raises:
            UserError: as `samples`, as far as that is noticed.
        """
        if self.offset is not None:
            return max(1, round(self.duration * sample_rate))
        if self.contents is not None:
            known = self.contents.known_length(sample_rate)
            if known is not None:
                return known
        with self._opened() as file:
            return max(1, round(file.seconds() * sample_rate))

    def _opened(self) -> contextlib.AbstractContextManager[AudioFile]:
        if self.contents is None:
            return audio_files.opened(self.audio)
        return audio_files.opened_bytes(self.contents.read(), self.audio)

    def _segment(self, sample_rate: int) -> np.ndarray:
        """float32 `[samples]` of a part of what the file holds; none if it ends before."""
        first = round(self.offset * sample_rate)
        count = max(1, round(self.duration * sample_rate))
        part = None
        if self.contents is None and self.channel == MIX:
            part = _sought(self.audio, first, count, sample_rate)
        if part is None:
            # Its time is in the key: a file that was written anew is decoded anew.
            modified = os.stat(self.audio).st_mtime_ns if os.path.isfile(self.audio) else 0
            whole = dataclasses.replace(self, text="", duration=0.0, offset=None, speaker="")
            part = _whole(whole, sample_rate, modified)[first : first + count]
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
def _whole(recording: Utterance, sample_rate: int, modified: int) -> np.ndarray:
    return recording.samples(sample_rate)
