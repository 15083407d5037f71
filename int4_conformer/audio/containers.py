"""Containers: what a file really holds, whatever its header claims.

libsndfile decodes as much as a header promises. Programs that write to a pipe cannot go back to
promise the right length, recorders are switched off before they do, and files are joined. Here such
headers are corrected, in memory, before the decoder sees them.
"""

import dataclasses
import itertools
import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from int4_conformer.audio import mpeg_frames
from int4_conformer.audio.spliced_file import SplicedFile, Stretch
from int4_conformer.errors import UserError

_MPEG_SUFFIXES = (".mp3", ".mp2", ".mpga", ".mpeg")
# Streams of one file that follow each other: each takes a decoder of its own.
_MOST_PARTS = 10_000
# From here on, lengths are what programs write that do not know.
_UNKNOWN_LENGTH = 0x7F000000
# Chunks that may follow the samples, and be cut themselves.
_FOLLOWING = {
    b"LIST",
    b"fact",
    b"bext",
    b"cue ",
    b"smpl",
    b"inst",
    b"id3 ",
    b"ID3 ",
    b"JUNK",
    b"PEAK",
}
# By its code for `struct`, the greatest length.
_MOST = {"I": 2**32 - 1, "q": 2**63 - 1}
_OGG_FIRST, _OGG_LAST = 2, 4
# Audio that begins as text would.
_TEXTUAL = (
    b"NIST",
    b"Creative Voice File",
    b"Extended Instrument",
    b"MATLAB 5.0",
    b"PVF1",
    b"ALaw",
)

# How files begin that are often taken for audio files: place, bytes, what they are.
_UNREADABLE = (
    (4, b"ftyp", "an MP4 or M4A file"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a WMA file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"ADIF", "an AAC file"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"FLV\x01", "a Flash video"),
    (8, b"AVI ", "an AVI video"),
)
_NOT_AUDIO = (
    (0, b"version https://git-lfs", "a pointer of Git LFS; run git lfs pull"),
    (0, b"MThd", "MIDI, notes without sound; record them"),
    (0, b"%PDF", "a PDF document; check the path"),
    (0, b"PK\x03\x04", "a ZIP archive; unpack it"),
    (0, b"\x1f\x8b", "compressed by gzip; unpack it"),
    (0, b"\x89PNG", "a picture; check the path"),
    (0, b"\xff\xd8\xff", "a picture; check the path"),
    (0, b"GIF8", "a picture; check the path"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One stream of audio in a file, as the decoder should be given it."""

    # What to open: the file's name where nothing had to be corrected.
    source: str | SplicedFile
    # Samples per channel that the header promises, where it says so.
    promised_frames: int | None = None
    # Which part of the promised bytes the file holds.
    kept: float = 1.0
    # Whether the end is missing by the look of it.
    is_cut: bool = False


def parts(file: BinaryIO, path: str | os.PathLike) -> list[Part]:
    """The streams of audio in a file, one after another.

    Args:
        file: the file, open; it has to stay so while the parts are read.
        path: its name, or a word for it.

    Raises:
        UserError: it is known to hold no audio, audio of a kind that is not decoded, or too many
            streams.
    """
    found = list(itertools.islice(_parts(file, path), _MOST_PARTS + 1))
    if len(found) > _MOST_PARTS:
        raise UserError(
            f"{path} is more than {_MOST_PARTS:,} files, one behind the other; give it in parts."
        )
    return found


def _parts(file: BinaryIO, path: str | os.PathLike) -> Iterable[Part]:
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise UserError(f"{path} is empty; record it again or leave it out.")
    start = min(size, _after_id3(file))
    head = _at(file, start, 64)
    # By its name, where nothing has to be corrected: some kinds are told by it.
    is_named = getattr(file, "name", None) == path
    source = os.fspath(path) if is_named else _stretch(file, 0, size)
    if head[:4] == b"fLaC":
        return [_flac(file, start, size)]
    if head[:4] == b"OggS":
        return _ogg(file, start, size)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _joined(file, start, size, _RIFF)
    if head[:4] == b"RIFX":
        return _joined(file, start, size, _RIFX)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _joined(file, start, size, _AIFF)
    if head[:4] == b"caff":
        return _joined(file, start, size, _CAF)
    if head[:4] == b".snd":
        return [_au(file, start, size)]
    if head[:4] == b"NIST":
        return [_nist(file, source)]
    if head[:4] == b"riff":
        return [_w64(file, source, size)]
    _refuse_foreign(head, path)
    if start or Path(path).suffix.lower() in _MPEG_SUFFIXES or head[:1] == b"\xff":
        found = list(itertools.islice(mpeg_frames.streams(file, start, size), _MOST_PARTS + 1))
        if not found:
            raise UserError(
                f"{path} cannot be decoded as audio: it holds no MP3 frame; record it again or "
                "leave it out."
            )
        return [_mpeg(stream) for stream in found if stream.frames]
    return [Part(source=source)]


def _refuse_foreign(head: bytes, path: str | os.PathLike) -> None:
    for place, magic, what in _UNREADABLE:
        if head[place : place + len(magic)] == magic:
            raise UserError(
                f"{path} is {what}, which is not decoded; convert it, for example with "
                "ffmpeg -i FILE new.wav."
            )
    for place, magic, what in _NOT_AUDIO:
        if head[place : place + len(magic)] == magic:
            raise UserError(f"{path} is not audio: it is {what}.")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:32]
    if head.startswith(_TEXTUAL) or not all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in text):
        return
    if text[:1] == b"<":
        raise UserError(f"{path} is not audio: it is a web page or XML; download the file again.")
    if text:
        raise UserError(f"{path} is not audio: it is text, {text.decode()!r}...; check the path.")


def _after_id3(file: BinaryIO) -> int:
    """Where a file begins behind tags of ID3v2."""
    place = 0
    while (head := _at(file, place, 10))[:3] == b"ID3" and len(head) == 10:
        # The length, seven bits a byte.
        length = 0
        for byte in head[6:]:
            length = length << 7 | byte & 0x7F
        place += 10 + length
    return place


def _flac(file: BinaryIO, start: int, size: int) -> Part:
    # STREAMINFO is the first block; the lower 36 bits of these eight bytes count the samples.
    place = start + 18
    field = int.from_bytes(_at(file, place, 8), "big")
    promised = field & (1 << 36) - 1
    # Without a count, libFLAC decodes to the end.
    patch = (field - promised).to_bytes(8, "big")
    source = _stretch(file, start, size, place, patch)
    return Part(source=source, promised_frames=promised or None)


def _ogg(file: BinaryIO, start: int, size: int) -> Iterator[Part]:
    """A part for each link of a chain: a stream of them begins where another has ended."""
    begin, ended, place = start, False, start
    while len(head := _at(file, place, 282)) >= 27 and head[:4] == b"OggS":
        if ended and head[5] & _OGG_FIRST:
            yield Part(source=_stretch(file, begin, place))
            begin, ended = place, False
        length = 27 + head[26] + sum(head[27 : 27 + head[26]])
        if place + length > size:
            break
        ended = ended or bool(head[5] & _OGG_LAST)
        place += length
    # libsndfile looks for the last page at the end, and finds none behind what is cut.
    stop = place if place > begin else size
    yield Part(source=_stretch(file, begin, stop), is_cut=not ended)


@dataclasses.dataclass(frozen=True)
class _Chunks:
    """How a container lays out chunks, each with a name and a length."""

    # Of a chunk's name and length.
    layout: str
    # Bytes before the first chunk.
    header: int
    # Of the chunk that holds the samples, and bytes in it before them.
    name: bytes = b"data"
    counted: int = 0

    def head(self, file: BinaryIO, place: int) -> tuple[bytes, int, int] | None:
        """A chunk's name, length, and where its content begins; None if there is none."""
        width = struct.calcsize(self.layout)
        head = _at(file, place, width)
        if len(head) < width or not head[:4].translate(None, b" _").isalnum():
            return None
        return *struct.unpack(self.layout, head), place + width


_RIFF, _RIFX = _Chunks("<4sI", 12), _Chunks(">4sI", 12)
_AIFF, _CAF = _Chunks(">4sI", 12, b"SSND", 8), _Chunks(">4sq", 8, counted=4)


def _joined(file: BinaryIO, start: int, size: int, chunks: _Chunks) -> Iterator[Part]:
    """A part for each of the files of chunks that follow each other."""
    begin: int | None = start
    while begin is not None:
        part, begin = _chunked(file, begin, size, chunks)
        yield part


def _chunked(file: BinaryIO, start: int, size: int, chunks: _Chunks) -> tuple[Part, int | None]:
    """A file of chunks, and where another one follows."""
    sound = Part(source=_stretch(file, start, size))
    place, is_heard, long_length = start + chunks.header, False, None
    while found := chunks.head(file, place):
        name, length, body = found
        if is_heard and name == b"RIFF" and _at(file, body, 4) == b"WAVE":
            return dataclasses.replace(sound, source=_stretch(file, start, place)), place
        if name == b"ds64":
            # Where RF64 has the 64 bits of the next length.
            long_length = body + 8
        if name == chunks.name:
            is_heard, field, form = True, place + 4, chunks.layout.replace("4s", "")
            if long_length is not None:
                field, form = long_length, "<q"
                (length,) = struct.unpack(form, _at(file, field, 8).ljust(8, b"\0"))
            claimed, held = length - chunks.counted, size - body - chunks.counted
            sound = dataclasses.replace(sound, kept=_kept(claimed, held))
            is_short = claimed < held and (
                length < 0 or not _ends_at(file, body + length, size, chunks)
            )
            # CAF says -1 where it does not know, which libsndfile refuses, as it does too much.
            if is_short or length < 0 or (claimed > held and chunks == _CAF):
                most = min(held + chunks.counted, _MOST[form[1]])
                source = _stretch(file, start, size, field, struct.pack(form, most))
                return dataclasses.replace(sound, source=source), None
        if length < 0:
            break
        place = body + length
        # Odd ones are followed by a byte of padding, which some writers forget.
        place += length % 2 and not chunks.head(file, place)
    return sound, None


def _ends_at(file: BinaryIO, place: int, size: int, chunks: _Chunks) -> bool:
    """Whether the samples end there: with the file, or at another chunk."""
    for begin in (place, place + place % 2):
        found = chunks.head(file, begin)
        if size - begin < struct.calcsize(chunks.layout):
            return True
        if found and (found[0] in _FOLLOWING or found[1] <= size - found[2]):
            return True
    return False


def _kept(claimed: int, held: int) -> float:
    return held / claimed if 0 < held < claimed < _UNKNOWN_LENGTH else 1.0


def _au(file: BinaryIO, start: int, size: int) -> Part:
    offset, claimed = struct.unpack(">II", _at(file, start + 4, 8).ljust(8, b"\0"))
    # What it says where it does not know: up to the end.
    source = _stretch(file, start, size, start + 8, b"\xff\xff\xff\xff")
    return Part(source=source, kept=_kept(claimed, size - start - offset))


def _nist(file: BinaryIO, source: str | SplicedFile) -> Part:
    # A number of more digits is no length.
    found = re.search(rb"sample_count -i (\d{1,18})\b", _at(file, 0, 1024))
    return Part(source=source, promised_frames=int(found[1]) if found else None)


def _w64(file: BinaryIO, source: str | SplicedFile, size: int) -> Part:
    (claimed,) = struct.unpack("<Q", _at(file, 16, 8).ljust(8, b"\0"))
    return Part(source=source, kept=_kept(claimed, size))


def _mpeg(stream: mpeg_frames.Stream) -> Part:
    # Some encoders count the tag itself.
    is_promise = stream.claimed_frames is not None and stream.claimed_frames > stream.frames + 1
    return Part(
        source=stream.file,
        promised_frames=stream.claimed_frames * stream.format.samples if is_promise else None,
        is_cut=stream.is_cut,
    )


def _stretch(
    file: BinaryIO, start: int, stop: int, place: int | None = None, patch: bytes = b""
) -> SplicedFile:
    """A stretch of a file, with other bytes at a place."""
    if place is None:
        return SplicedFile(file, [Stretch(start, stop)])
    after = Stretch(min(stop, place + len(patch)), stop)
    return SplicedFile(file, [Stretch(start, min(stop, place)), patch[: stop - place], after])


def _at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)
