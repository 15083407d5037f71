"""Audio that another program pipes into this one: WAV or raw PCM, heard as it comes."""

import dataclasses
import struct
from collections.abc import Callable, Iterator

import numpy as np

from int4_conformer.audio import mpeg_frames
from int4_conformer.audio.samples import MAX_CHANNELS, MIX, require_range, to_mono
from int4_conformer.errors import UserError

# Rates in Hz that a recording has.
LEAST_RATE, MOST_RATE = 1000, 1_000_000
# Forms of raw samples.
RAW_FORMATS = ("s16le", "f32le")

_NAME = "Standard input"
# Audio that is handed on at once, so that words come early.
_STEP_SECONDS = 0.1
# What is missing of a promise without being missed.
_TOLERANCE = 0.01
# From here on, lengths are what programs write that do not know.
_UNKNOWN_LENGTH = 0x7F000000
# Of what stands before the samples.
_MOST_HEADER = 1 << 24
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# By format tag and bits of a sample.
_WAV_FORMATS = {
    (_PCM, 8): "u8",
    (_PCM, 16): "s16le",
    (_PCM, 24): "s24le",
    (_PCM, 32): "s32le",
    (_FLOAT, 32): "f32le",
    (_FLOAT, 64): "f64le",
}
_BYTES = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}
# How files begin that are taken for WAV: place, bytes, what they are.
_FOREIGN = (
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"caff", "a CAF file"),
    (0, b".snd", "an AU file"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (4, b"ftyp", "an MP4 or M4A file"),
)
_CONVERT = "convert it on the way, for example with ffmpeg -i FILE -f wav -"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PcmForm:
    """How samples lie in a stream of bytes."""

    rate: int = 16000
    channels: int = 1
    # Of `RAW_FORMATS`, or of those that WAV files have besides.
    format: str = "s16le"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * _BYTES[self.format]

    def samples(self, content: bytes) -> np.ndarray:
        """float32 `[samples, channels]` of whole frames."""
        return _decoded(content, self.format).reshape(-1, self.channels)


class PipedAudio:
    """Reads the header, if there is one; `audio` then gives the samples.

    Args:
      read: gives some of the next bytes, at most so many; none at the end.
      raw: the form of samples without a header.
      is_raw: whether the user has said that they have none.
      channel: the one to hear, as `audio_files.read` has it.
      on_note: is told, in a sentence, what is odd about it.

    Raises:
      UserError: it is nothing, is no audio of these forms, or cannot be read.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        raw: PcmForm,
        *,
        is_raw: bool,
        channel: str = MIX,
        on_note: Callable[[str], None],
    ) -> None:
        self._read = read
        self._channel = channel
        self._on_note = on_note
        # Bytes of samples that a header promises.
        self._promised: int | None = None
        self._ahead = self._exactly(12)
        self._form = raw
        if self._ahead[:4] in (b"RIFF", b"RF64") and self._ahead[8:] == b"WAVE":
            self._ahead = b""
            self._form = self._wav_form()
        elif not is_raw:
            self._refuse_foreign()

    @property
    def rate(self) -> int:
        """Of the samples, in Hz."""
        return self._form.rate

    def audio(self) -> Iterator[np.ndarray]:
        """Float32 `[samples]` as they come."""
        form, taken, told, rest = self._form, 0, set(), self._ahead
        step = max(1, int(_STEP_SECONDS * form.rate)) * form.frame_bytes
        while True:
            wanted = step - len(rest)
            if self._promised is not None:
                wanted = min(wanted, self._promised - taken - len(rest))
            came = self._some(wanted) if wanted > 0 else b""
            rest += came
            whole = len(rest) // form.frame_bytes * form.frame_bytes
            if whole:
                channels, rest = form.samples(rest[:whole]), rest[whole:]
                taken += whole
                require_range(channels, _NAME)
                samples, note = to_mono(channels, self._channel, _NAME)
                if note is not None and note not in told:
                    told.add(note)
                    self._on_note(note)
                yield np.ascontiguousarray(samples)
            elif not came:
                break
        self._tell_of_the_end(taken, len(rest))

    def _tell_of_the_end(self, taken: int, rest: int) -> None:
        if not taken:
            raise UserError(f"{_NAME} holds no audio samples; does the program before it run?")
        if rest:
            self._on_note(f"{_NAME} ends within a sample; its last {rest} bytes were left out.")
        second = self._form.rate * self._form.frame_bytes
        if self._promised is not None and taken < self._promised - _TOLERANCE * second:
            self._on_note(
                f"{_NAME} ends early: its header promises {self._promised / second:.2f} s, "
                f"{taken / second:.2f} s came."
            )

    def _refuse_foreign(self) -> None:
        """Refuses what would be heard as noise."""
        if self._ahead and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in self._ahead):
            raise UserError(
                f"{_NAME} is text, {self._ahead.decode()!r}..., and WAV or raw PCM is read; check "
                "what the program before it gives."
            )
        found = [what for place, magic, what in _FOREIGN if self._ahead.startswith(magic, place)]
        if self._ahead[:1] == b"\xff":
            # Samples may begin so, too.
            self._ahead += self._exactly(mpeg_frames.BEGINNING - len(self._ahead))
            if mpeg_frames.begins(self._ahead):
                found = ["an MP3 file"]
        if found:
            raise UserError(f"{_NAME} is {found[0]}, and WAV or raw PCM is read; {_CONVERT}.")

    def _wav_form(self) -> PcmForm:
        """What the chunks of a WAV file say, up to its samples."""
        form, long_length = None, 0
        while True:
            head = self._exactly(8)
            if len(head) < 8:
                raise UserError(f"{_NAME} ends within the header of a WAV file; pipe all of it.")
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                break
            # Odd chunks are followed by a byte of padding.
            length += length % 2
            body = self._exactly(length) if length <= _MOST_HEADER else b""
            if len(body) < length:
                raise UserError(f"{_NAME} has a damaged WAV header; encode it again.")
            if name == b"fmt ":
                form = _wav_form(body)
            if name == b"ds64" and length >= 16:
                (long_length,) = struct.unpack_from("<Q", body, 8)
        if form is None:
            raise UserError(f"{_NAME} has a WAV header without a format; encode it again.")
        self._promised = (length if length < _UNKNOWN_LENGTH else long_length) or None
        return form

    def _exactly(self, count: int) -> bytes:
        """So many bytes, or all that come before the end."""
        content = b""
        while len(content) < count and (came := self._some(count - len(content))):
            content += came
        return content

    def _some(self, most: int) -> bytes:
        try:
            return self._read(most)
        except OSError as error:
            raise UserError(
                f"{_NAME} cannot be read ({error.strerror}); check the pipe."
            ) from error


def _wav_form(body: bytes) -> PcmForm:
    """The form that the chunk "fmt " tells of."""
    if len(body) < 16:
        raise UserError(f"{_NAME} has a damaged WAV header; encode it again.")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    if (tag, bits) not in _WAV_FORMATS:
        raise UserError(
            f"{_NAME} is a WAV file of an encoding that is not read from a pipe (tag {tag}, {bits} "
            f"bits); {_CONVERT}."
        )
    if not 1 <= channels <= MAX_CHANNELS or not LEAST_RATE <= rate <= MOST_RATE:
        raise UserError(
            f"{_NAME} says that it has {channels} channels at {rate} Hz, which no recording of "
            "speech has; encode it again."
        )
    return PcmForm(rate=rate, channels=channels, format=_WAV_FORMATS[tag, bits])


def _decoded(content: bytes, form: str) -> np.ndarray:
    """float32 samples of their bytes."""
    if form == "u8":
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if form == "s16le":
        return np.frombuffer(content, "<i2") / np.float32(2**15)
    if form == "s24le":
        # As the upper bytes of 32 bits.
        wide = np.zeros([len(content) // 3, 4], np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2**31).astype(np.float32)
    if form == "s32le":
        return (np.frombuffer(content, "<i4") / 2**31).astype(np.float32)
    with np.errstate(over="ignore"):
        return np.frombuffer(content, "<f4" if form == "f32le" else "<f8").astype(np.float32)
