"""MPEG audio (MP3 and its elders) as the frames that it is made of.

Nothing in such a file says for certain how long it is: the tag in which encoders count the frames
may be absent or wrong, and then decoders guess from the first frame's bit rate. The frames
themselves are certain.
"""

import dataclasses
import functools
import struct
from collections.abc import Iterator

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
# "Xing" and four flags; counts of frames and bytes; what a decoder looks at behind them.
_TAG_BYTES = 8 + 8 + 24
_HAS_FRAMES, _HAS_BYTES = 1, 2
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

    content: bytes
    format: Format
    frames: int
    # What its own tag said, if it has one.
    claimed_frames: int | None
    # Whether the last frame is missing in part.
    is_cut: bool


def streams(content: bytes) -> list[Stream]:
    """The streams in a file: one, or several where files were joined; none if it is no MPEG audio.

    What lies between frames, such as tags and pictures, is left out.
    """
    found: list[Stream] = []
    tag: bytes | None = None
    frames: list[bytes] = []
    current, is_cut = None, False
    for format_, frame, is_whole in _frames(content):
        tagged = _tagged(frame, format_)
        if tagged or format_ != current:
            if current is not None:
                found.append(_stream(tag, frames, current, False))
            tag, frames, current = (frame if tagged else None), [], format_
        if is_whole and not tagged:
            frames.append(frame)
        is_cut = not is_whole
    if current is not None:
        found.append(_stream(tag, frames, current, is_cut))
    return found


def _frames(content: bytes) -> Iterator[tuple[Format, bytes, bool]]:
    """Each frame, and whether it is whole, which the last may not be."""
    place, chain = 0, _CHAIN
    while (place := content.find(b"\xff", place)) >= 0:
        if not _is_chain(content, place, chain):
            place += 1
            continue
        format_, length = _header(content, place)
        frame = content[place : place + length]
        yield format_, frame, len(frame) == length
        place += length
        # Behind a tag or a picture, two in a row are frames.
        chain = 1 if _header(content, place) else 2


def _is_chain(content: bytes, place: int, count: int) -> bool:
    """Whether that many frames of one format follow each other, or the file is of fewer."""
    formats, is_begin = set(), place == 0
    for _ in range(count):
        if is_begin and formats and place >= len(content):
            break
        found = _header(content, place)
        if found is None:
            return False
        formats.add(found[0])
        place += found[1]
    return len(formats) == 1


def _header(content: bytes, place: int) -> tuple[Format, int] | None:
    """Format and bytes of the frame that begins there."""
    return _parsed(content[place : place + 4])


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


def _stream(tag: bytes | None, frames: list[bytes], format_: Format, is_cut: bool) -> Stream:
    claimed = None if tag is None else _claimed(tag, format_)
    parts = frames
    if frames and format_.layer == 3:
        # One that tells the truth also says how much silence the encoder added.
        is_true = claimed == len(frames) and tag[36:40] != b"VBRI"
        counted = bytearray(tag) if is_true else _count_tag(frames, format_)
        if counted[format_.tag_place + 7] & _HAS_BYTES:
            size = len(counted) + sum(map(len, frames))
            struct.pack_into(">I", counted, format_.tag_place + 12, size)
        parts = [counted, *frames]
    return Stream(_EMPTY_ID3 + b"".join(parts), format_, len(frames), claimed, is_cut)


def _count_tag(frames: list[bytes], format_: Format) -> bytearray:
    """A frame that says how many follow."""
    lengths = {rate: _length(format_, rate, 0) for rate in range(1, 15)}
    rate = next(rate for rate in lengths if lengths[rate] >= format_.tag_place + _TAG_BYTES)
    tag = bytearray(lengths[rate])
    # As the first frame, without a checksum and padding.
    first = frames[0]
    tag[:4] = bytes([0xFF, first[1] | 1, rate << 4 | first[2] & 0b1100, first[3]])
    counts = struct.pack(">4sIII", b"Xing", _HAS_FRAMES | _HAS_BYTES, len(frames), 0)
    tag[format_.tag_place : format_.tag_place + len(counts)] = counts
    return tag
