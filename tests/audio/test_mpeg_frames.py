import io

import numpy as np
import pytest

from int4_conformer.audio import mpeg_frames
from tests.support.odd_files import encoded, id3, mp3, mp3_counting, mp3_tag


def layer(version_and_layer, third, length, count):
    """Silent frames of a header whose length is known."""
    header = bytes([0xFF, version_and_layer, third, 0])
    return (header + bytes(length - 4)) * count


def streams(content, start=0):
    return list(mpeg_frames.streams(io.BytesIO(content), start, len(content)))


def read(stream):
    """The bytes of a stream."""
    stream.file.seek(0)
    return stream.file.read()


@pytest.mark.parametrize(
    ("content", "format_"),
    [
        # 128 kbit/s at 44.1 kHz; 32 kbit/s at 22.05 kHz, layers II and I of MPEG 1.
        (layer(0xFB, 0x90, 417, 7), mpeg_frames.Format(1, 3, 44100, False)),
        (layer(0xF3, 0x40, 104, 7), mpeg_frames.Format(2, 3, 22050, False)),
        (layer(0xFD, 0x80, 417, 7), mpeg_frames.Format(1, 2, 44100, False)),
        (layer(0xFF, 0x40, 136, 7), mpeg_frames.Format(1, 1, 44100, False)),
    ],
    ids=["mpeg 1", "mpeg 2", "layer 2", "layer 1"],
)
def test_frames_are_counted(content, format_):
    (stream,) = streams(content)
    assert (stream.frames, stream.format, stream.claimed_frames) == (7, format_, None)
    assert read(stream).endswith(content)
    assert not stream.is_cut
    (stream,) = streams(content[:-1])
    assert (stream.frames, stream.is_cut) == (6, True)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_true_tag_is_kept(rate, channels):
    content = encoded("MP3", "MPEG_LAYER_III", rate, channels=channels)
    (stream,) = streams(content)
    assert read(stream).endswith(content)
    assert stream.frames == stream.claimed_frames
    assert stream.format.rate == rate
    assert stream.format.mono == (channels == 1)


def test_a_false_tag_is_replaced_and_a_missing_one_made():
    frames = mp3().removeprefix(mp3_tag())
    for content, claimed in ((frames, None), (mp3_counting(3), 3), (mp3_counting(999), 999)):
        (stream,) = streams(content)
        assert stream.claimed_frames == claimed
        # What was made says the truth when it is read again.
        (again,) = streams(read(stream)[42:])
        assert again.claimed_frames == again.frames == stream.frames
        assert read(stream).endswith(frames)


def test_joined_files_are_streams_of_their_own():
    first, second = mp3(), encoded("MP3", "MPEG_LAYER_III", 44100)
    content = id3() + first + b"TAG".ljust(128) + id3() + second
    found = streams(content)
    assert [read(stream)[42:] for stream in found] == [first, second]


def test_other_bytes_are_no_frames():
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert not streams(rng.bytes(20000))
    # Nor is one header, where a file does not begin.
    assert not streams(b"x" + layer(0xFB, 0x90, 417, 2))
    assert not streams(b"")
    assert not streams(b"\xff")


@pytest.mark.parametrize("held", [1, 5, 64, 417, 1000])
def test_a_part_of_the_file_is_held(monkeypatch, held):
    content = b"x" * 99 + layer(0xFB, 0x90, 417, 7) + bytes(99) + layer(0xFD, 0x80, 417, 5)[:-1]
    expected = streams(content)
    assert [(stream.frames, stream.is_cut) for stream in expected] == [(7, False), (4, True)]
    monkeypatch.setattr(mpeg_frames, "_HELD_BYTES", held)
    for one, other in zip(expected, streams(content), strict=True):
        assert read(one) == read(other)
        assert (one.frames, one.is_cut) == (other.frames, other.is_cut)
