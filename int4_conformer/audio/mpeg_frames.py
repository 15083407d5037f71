"""MPEG audio (MP3 and its elders) as the frames that it is made of.

Nothing in such a file says for certain how long it is: the tag in which encoders count the frames
may be absent or wrong, and then decoders guess from the first frame's bit rate. The frames
themselves are certain.
"""

import dataclasses
import functools
import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

from int4_conformer.audio.spliced_file import SplicedFile, Stretch

# By version (1, or 2 for 2 and 2.5) and layer, in kbit/s; index 0 leaves the length to be guessed.
_BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# By the header's two bits: 2.5, none, 2, 1.
_RATES = {0: (11025, 12000, 8000), 2: (22050, 24000, 16000), 3: (44100, 48000, 32000)}
# Frames that have to follow each other for a file to begin with them: two bytes that look like the
# start of one are soon found in anything.
_CHAIN = 3
# Bytes that hold as many, however long: the longest has 2881, layer II of 160 kbit/s at 8 kHz.
BEGINNING = _CHAIN * 2881
# "Xing" and four flags; counts of frames and bytes; what a decoder looks at behind them.
_TAG_BYTES = 8 + 8 + 24
_HAS_FRAMES, _HAS_BYTES = 1, 2
# Bytes of a frame that tell whether it is a tag.
_LOOKED_AT = 64
# Of a file, what is held at once.
_HELD_BYTES = 1 << 20
# An ID3 tag without anything in it. libsndfile tells MPEG audio that has no file name by it alone.
_EMPTY_ID3 = b"ID3\x03\x00\x00\x00\x00\x00\x20" + bytes(32)


@dataclasses.dataclass(frozen=True)
class Format:
    """What the frames of a stream have in common."""

    version: int
    layer: int
    rate: int
    mono: bool

    @property
    def samples(self) -> int:
        """Of a frame, per channel."""
        if self.layer == 1:
            return 384
        return 576 if (self.version, self.layer) == (2, 3) else 1152

    @property
    def tag_place(self) -> int:
        """Bytes of a layer III frame before a tag: its header and side information."""
        if self.version == 1:
            return 4 + (17 if self.mono else 32)
        return 4 + (9 if self.mono else 17)


@dataclasses.dataclass(frozen=True)
class Stream:
    """Frames of one format, and as a file that says how many they are."""

    file: SplicedFile
    format: Format
    frames: int
    # What its own tag said, if it has one.
    claimed_frames: int | None
    # Whether the last frame is missing in part.
    is_cut: bool


def streams(file: BinaryIO, start: int, size: int) -> Iterator[Stream]:
    """The streams in a file: one, or several where files were joined; none if it is no MPEG audio.

    What lies between frames, such as tags and pictures, is left out.

    Args:
        file: the file, open; it has to stay so while the streams are read.
        start: byte at which the first one may begin.
        size: bytes of the file.
    """
    content = _Bytes(file, start, size)
    current: _Frames | None = None
    is_cut = False
    for format_, frame in _frames(content):
        head = content.at(frame.start, min(len(frame), _LOOKED_AT))
        tagged = _tagged(head, format_)
        if tagged or current is None or format_ != current.format:
            if current is not None:
                yield current.stream(file, False)
            tag = content.at(frame.start, len(frame)) if tagged else None
            current = _Frames(format_, tag)
        is_cut = frame.stop > size
        if not (is_cut or tagged):
            current.add(frame, head[:4])
    if current is not None:
        yield current.stream(file, is_cut)


def begins(content: bytes) -> bool:
    """Whether bytes, `BEGINNING` or all that there are, begin with frames, one after another."""
    return _is_chain(_Bytes(io.BytesIO(content), 0, len(content)), 0, _CHAIN)


class _Bytes:
    """The bytes of a file from a place on, of which a part is held."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.start, self.size = start, size
        self._file = file
        self._begin, self._held = start, b""

    def at(self, place: int, count: int) -> bytes:
        """So many bytes, fewer at the end."""
        first = place - self._begin
        if first < 0 or first + count > len(self._held):
            self._file.seek(place)
            self._begin, self._held = place, self._file.read(max(count, _HELD_BYTES))
            first = 0
        return self._held[first : first + count]

    def find(self, byte: bytes, place: int) -> int:
        """Where a byte comes next; -1 if nowhere."""
        while self.at(place, 1):
            found = self._held.find(byte, place - self._begin)
            if found >= 0:
                return self._begin + found
            place = self._begin + len(self._held)
        return -1


class _Frames:
    """The frames of a stream as they are found, behind its tag, if it has one."""

    def __init__(self, format_: Format, tag: bytes | None) -> None:
        self.format = format_
        self._tag = tag
        self._count = 0
        # The header of the first one.
        self._header = b""
        # Where they lie, those without anything between them together.
        self._stretches: list[Stretch] = []

    def add(self, frame: Stretch, header: bytes) -> None:
        """Takes the next frame."""
        self._count += 1
        self._header = self._header or header
        if self._stretches and self._stretches[-1].stop == frame.start:
            frame = Stretch(self._stretches.pop().start, frame.stop)
        self._stretches.append(frame)

    def stream(self, file: BinaryIO, is_cut: bool) -> Stream:
        """All of them."""
        format_, claimed = self.format, None
        if self._tag is not None:
            claimed = _claimed(self._tag, format_)
        counted = b""
        if self._count and format_.layer == 3:
            # One that tells the truth also says how much silence the encoder added.
            is_true = claimed == self._count and self._tag[36:40] != b"VBRI"
            counted = bytearray(
                self._tag if is_true else _count_tag(self._header, self._count, format_)
            )
            if counted[format_.tag_place + 7] & _HAS_BYTES:
                size = len(counted) + sum(map(len, self._stretches))
                struct.pack_into(">I", counted, format_.tag_place + 12, size)
        pieces = [_EMPTY_ID3, bytes(counted), *self._stretches]
        return Stream(SplicedFile(file, pieces), format_, self._count, claimed, is_cut)


def _frames(content: _Bytes) -> Iterator[tuple[Format, Stretch]]:
    """Each frame; the last may go on behind the end of the file."""
    place, chain = content.start, _CHAIN
    while (place := content.find(b"\xff", place)) >= 0:
        if not _is_chain(content, place, chain):
            place += 1
            continue
        format_, length = _header(content, place)
        yield format_, Stretch(place, place + length)
        place += length
        # Behind a tag or a picture, two in a row are frames.
        chain = 1 if _header(content, place) else 2


def _is_chain(content: _Bytes, place: int, count: int) -> bool:
    """Whether that many frames of one format follow each other, or the file is of fewer."""
    formats, is_begin = set(), place == content.start
    for _ in range(count):
        if is_begin and formats and place >= content.size:
            break
        found = _header(content, place)
        if found is None:
            return False
        formats.add(found[0])
        place += found[1]
    return len(formats) == 1


def _header(content: _Bytes, place: int) -> tuple[Format, int] | None:
    """Format and bytes of the frame that begins there."""
    return _parsed(content.at(place, 4))


@functools.lru_cache(maxsize=4096)
def _parsed(header: bytes) -> tuple[Format, int] | None:
    if len(header) < 4:
        return None
    sync, second, third, fourth = header
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    bit_rate, rate = third >> 4, third >> 2 & 3
    if sync != 0xFF or second < 0xE0 or version == 1 or layer == 4:
        return None
    if bit_rate in (0, 15) or rate == 3:
        return None
    format_ = Format(1 if version == 3 else 2, layer, _RATES[version][rate], fourth >> 6 == 3)
    return format_, _length(format_, bit_rate, third >> 1 & 1)


def _length(format_: Format, bit_rate: int, padding: int) -> int:
    bits = 1000 * _BIT_RATES[format_.version, format_.layer][bit_rate - 1]
    if format_.layer == 1:
        return (12 * bits // format_.rate + padding) * 4
    return format_.samples // 8 * bits // format_.rate + padding


def _tagged(frame: bytes, format_: Format) -> bool:
    """Whether the frame holds no sound but a count: Xing's or, a second kind, VBRI."""
    if format_.layer != 3 or len(frame) < 54:
        return False
    place = format_.tag_place
    return frame[place : place + 4] in (b"Xing", b"Info") or frame[36:40] == b"VBRI"


def _claimed(tag: bytes, format_: Format) -> int | None:
    if tag[36:40] == b"VBRI":
        return int.from_bytes(tag[50:54], "big")
    flags, count = struct.unpack_from(">II", tag, format_.tag_place + 4)
    return count if flags & _HAS_FRAMES else None


def _count_tag(header: bytes, frames: int, format_: Format) -> bytes:
    """A frame that says how many follow, with the header of the first of them."""
    lengths = {rate: _length(format_, rate, 0) for rate in range(1, 15)}
    rate = next(rate for rate in lengths if lengths[rate] >= format_.tag_place + _TAG_BYTES)
    tag = bytearray(lengths[rate])
    # Without a checksum and padding.
    tag[:4] = bytes([0xFF, header[1] | 1, rate << 4 | header[2] & 0b1100, header[3]])
    counts = struct.pack(">4sIII", b"Xing", _HAS_FRAMES | _HAS_BYTES, frames, 0)
    tag[format_.tag_place : format_.tag_place + len(counts)] = counts
    return bytes(tag)
