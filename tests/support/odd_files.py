"""Small audio files as strangers have them, made by code: `CASES`, and what has to come of each.

All hold the beginning of one clip, so that one comparison tells whether the samples are right: from
the start, in order, without a gap, to the end.
"""

import dataclasses
import functools
import io
import re
import struct
from collections.abc import Callable

import numpy as np
import soundfile

RATE = 16000
SECONDS = 1.0
# Of the containers that are cut: Ogg's pages are of some seconds.
LONG = 16.0


def clip(rate=RATE, seconds=SECONDS):
    """float32 `[samples]`: a tone that glides between 200 and 800 Hz."""
    t = np.arange(round(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * (500 * t + 150 * np.sin(2 * t)))).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A file, and what has to come of it: samples, or a sentence."""

    # Its name, without a folder; unique.
    name: str
    # Makes its bytes.
    content: Callable[[], bytes]
    # How much of the clip it holds, and how far off that may be.
    seconds: float = SECONDS
    slack: float = 0.0
    # Largest root mean square of the error, as a part of the clip's.
    error: float = 0.01
    # Samples at 16 kHz by which an encoder may have delayed it.
    delay: int = 0
    # How much louder it is.
    gain: float = 1.0
    # What is said besides, and what is said instead: regular expressions.
    note: str | None = None
    refusal: str | None = None

    def write(self, folder):
        """The file in a folder."""
        path = folder / self.name
        path.write_bytes(self.content())
        return path

    def check(self, samples):
        """Fails unless these are the samples, float32 `[samples]` at 16 kHz."""
        assert samples.dtype == np.float32
        assert abs(len(samples) / RATE - self.seconds) <= self.slack + 1 / RATE
        wanted = np.clip(self.gain * clip(seconds=self.seconds), -1, 1)
        lag = 0
        if self.delay:
            part = slice(2000, 6000)
            lag = np.correlate(
                samples[: part.stop + self.delay][part.start :], wanted[part]
            ).argmax()
        # Codecs and resamplers ring at the ends.
        edge = 200 if self.error > 1e-3 else 0
        inner = slice(edge, min(len(samples) - lag, len(wanted)) - edge)
        difference = samples[lag:][inner] - wanted[inner]
        assert np.sqrt(np.mean(difference**2) / np.mean(wanted[inner] ** 2)) <= self.error


@functools.cache
def encoded(form, subtype, rate=RATE, seconds=SECONDS, channels=1, endian=None):
    """A file as soundfile writes it."""
    samples = np.repeat(clip(rate, seconds)[:, None], channels, axis=1)
    return written(samples, form, subtype, rate, endian)


def written(samples, form="WAV", subtype="FLOAT", rate=RATE, endian=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype, endian=endian)
    return file.getvalue()


def replaced(content, place, layout, *values):
    """The bytes with others in the middle."""
    patched = bytearray(content)
    struct.pack_into(layout, patched, place, *values)
    return bytes(patched)


def wav(length, following=b"", subtype="PCM_16"):
    """A WAV file whose data chunk says that it is so long."""
    content = encoded("WAV", subtype)
    return replaced(content, content.index(b"data") + 4, "<I", length) + following


def aiff(length, frames):
    content = encoded("AIFF", "PCM_16")
    content = replaced(content, content.index(b"SSND") + 4, ">I", length)
    return replaced(content, content.index(b"COMM") + 10, ">I", frames)


def caf(length):
    content = encoded("CAF", "PCM_16")
    # Apple's chunk of padding stands before the samples, which end the file.
    return replaced(content, content.index(b"data") + 4, ">q", length)


def rf64(length):
    content = encoded("RF64", "PCM_16")
    return replaced(content, content.index(b"ds64") + 16, "<q", length)


def nist(count):
    """The clip as NIST SPHERE, with a header of that many samples."""
    content = encoded("NIST", "PCM_16")
    header = re.sub(rb"(?<=sample_count -i )\d+", count.encode(), content[:1024])
    return header[:1024] + content[1024:]


def flac(samples, seconds=SECONDS):
    """A FLAC file whose header counts so many samples."""
    content = encoded("FLAC", "PCM_16", seconds=seconds)
    field = int.from_bytes(content[18:26], "big") >> 36 << 36
    return replaced(content, 18, ">Q", field | samples)


MP3_FRAME = 576  # Samples, of MPEG 2.


def mp3(rate=RATE, seconds=SECONDS):
    return encoded("MP3", "MPEG_LAYER_III", rate, seconds)


def mp3_tag():
    """The first frame of `mp3`, which counts the others."""
    content = mp3()
    return content[: content.index(content[:2], 2)]


def mp3_counting(frames):
    """An MP3 file whose tag says that it is of so many frames."""
    content = mp3()
    place = max(content.find(b"Xing"), content.find(b"Info"))
    assert struct.unpack_from(">I", content, place + 4)[0] & 1
    return replaced(content, place + 8, ">I", frames)


def id3(size=200):
    return b"ID3\x03\0\0" + bytes([0, 0, size >> 7, size & 127]) + bytes(size)


def half(form, subtype, seconds=SECONDS):
    content = encoded(form, subtype, seconds=seconds)
    return content[: len(content) // 2]


def channels(*gains):
    """A WAV file with the clip in each channel, so loud."""
    return written(clip()[:, None] * np.float32(gains), subtype="PCM_16")


# By container and encoding: the error and delay of the codec.
_PLAIN = {
    ("WAV", "PCM_U8"): 0.02,
    ("WAV", "PCM_16"): 1e-3,
    ("WAV", "PCM_24"): 1e-4,
    ("WAV", "PCM_32"): 1e-4,
    ("WAV", "FLOAT"): 1e-6,
    ("WAV", "DOUBLE"): 1e-6,
    ("WAV", "ULAW"): 0.03,
    ("WAV", "ALAW"): 0.03,
    ("WAV", "IMA_ADPCM"): 0.1,
    ("WAV", "MS_ADPCM"): 0.1,
    ("WAV", "G721_32"): 0.1,
    ("WAVEX", "PCM_16"): 1e-3,
    ("RF64", "PCM_16"): 1e-3,
    ("W64", "PCM_16"): 1e-3,
    ("W64", "IMA_ADPCM"): 0.1,
    ("AIFF", "PCM_S8"): 0.02,
    ("AIFF", "PCM_16"): 1e-3,
    ("AIFF", "PCM_24"): 1e-4,
    ("AIFF", "FLOAT"): 1e-6,
    ("AIFF", "ULAW"): 0.03,
    ("AU", "PCM_16"): 1e-3,
    ("AU", "ULAW"): 0.03,
    ("CAF", "PCM_16"): 1e-3,
    ("CAF", "ALAC_16"): 1e-3,
    ("FLAC", "PCM_16"): 1e-3,
    ("FLAC", "PCM_24"): 1e-4,
    ("NIST", "PCM_16"): 1e-3,
    ("VOC", "PCM_16"): 1e-3,
    ("PVF", "PCM_16"): 1e-3,
    ("MAT5", "PCM_16"): 1e-3,
    ("IRCAM", "PCM_16"): 1e-3,
    ("OGG", "VORBIS"): 0.1,
    ("OGG", "OPUS"): 0.1,
    ("MP3", "MPEG_LAYER_III"): 0.1,
}


def _plain():
    for (form, subtype), error in _PLAIN.items():
        yield Case(
            name=f"{subtype.lower()}.{form.lower()}",
            content=functools.partial(encoded, form, subtype),
            error=error,
            # Blocks of ADPCM are filled up.
            slack=0.07 if "ADPCM" in subtype or subtype == "G721_32" else 0,
        )
    yield Case(name="gsm.wav", content=lambda: encoded("WAV", "GSM610", 8000), error=0.3, slack=0.1)
    yield Case(name="big_endian.wav", content=lambda: encoded("WAV", "PCM_16", endian="BIG"))
    for rate in (8000, 11025, 22050, 44100, 48000, 96000):
        yield Case(name=f"{rate}.wav", content=functools.partial(encoded, "WAV", "PCM_16", rate))
    for rate in (8000, 44100, 48000):
        yield Case(
            name=f"{rate}.mp3",
            content=functools.partial(mp3, rate),
            error=0.1,
        )


CANCELLING = r"has channels that cancel each other; the louder one, channel 2 of 2, was taken"
EARLY = r"ends early: its header promises {:.2f} s, \d+\.\d+ s came\.$"

_CHANNELS = (
    Case(name="stereo.wav", content=lambda: channels(1, 1)),
    Case(name="one_side.wav", content=lambda: channels(2, 0)),
    Case(
        name="stereo.mp3",
        content=lambda: encoded("MP3", "MPEG_LAYER_III", 44100, channels=2),
        error=0.1,
    ),
    Case(name="surround.flac", content=lambda: encoded("FLAC", "PCM_16", channels=6)),
    Case(name="antiphase.wav", content=lambda: channels(-0.999, 1), note=CANCELLING),
    Case(name="nearly_antiphase.wav", content=lambda: channels(-0.6, 1), note=CANCELLING),
)

_LYING = (
    # As pipes write them: by GStreamer, ffmpeg, sox, arecord.
    Case(name="pipe_0.wav", content=lambda: wav(0)),
    Case(name="pipe_ffffffff.wav", content=lambda: wav(0xFFFFFFFF)),
    Case(name="pipe_7ffff000.wav", content=lambda: wav(0x7FFFF000)),
    Case(name="pipe_80000000.wav", content=lambda: wav(0x80000000)),
    Case(name="pipe_0_8_bits.wav", content=lambda: wav(0, subtype="PCM_U8"), error=0.02),
    Case(
        name="pipe_0_adpcm.wav", content=lambda: wav(0, subtype="IMA_ADPCM"), error=0.1, slack=0.07
    ),
    Case(name="pipe.aiff", content=lambda: aiff(0x7F000008, 0)),
    Case(name="pipe_8.aiff", content=lambda: aiff(8, 0)),
    Case(name="pipe_0.au", content=lambda: replaced(encoded("AU", "PCM_16"), 8, ">I", 0)),
    Case(
        name="pipe_7fffffff.au",
        content=lambda: replaced(encoded("AU", "PCM_16"), 8, ">I", 2**31 - 1),
    ),
    Case(name="pipe.caf", content=lambda: caf(-1)),
    Case(name="pipe.rf64", content=lambda: rf64(0)),
    Case(name="negative.rf64", content=lambda: rf64(-(2**62))),
    Case(name="too_long.nist", content=lambda: nist("32000"), note=EARLY.format(2)),
    Case(name="endless.nist", content=lambda: nist("9" * 400)),
    Case(name="pipe.flac", content=lambda: flac(0)),
    Case(name="killed.wav", content=lambda: wav(8000)),
    Case(name="killed.flac", content=lambda: flac(4000)),
    Case(name="killed.aiff", content=lambda: aiff(8008, 4000)),
    Case(name="too_long.wav", content=lambda: wav(64000), note=EARLY.format(2)),
    Case(name="too_long.flac", content=lambda: flac(32000), note=EARLY.format(2)),
    Case(name="too_long.caf", content=lambda: caf(64004), note=EARLY.format(2)),
    Case(name="listed.wav", content=lambda: wav(32000, b"LIST\x04\0\0\0INFO")),
    Case(name="cut_list.wav", content=lambda: wav(32000, b"LIST\xff\0\0\0INFO")),
    Case(
        name="untagged.mp3",
        content=lambda: mp3().removeprefix(mp3_tag()),
        error=0.1,
        slack=0.1,
        delay=1200,
    ),
    Case(
        name="tag_counts_less.mp3",
        content=lambda: mp3_counting(10),
        error=0.1,
        slack=0.1,
        delay=1200,
    ),
    Case(
        name="tag_counts_more.mp3",
        content=lambda: mp3_counting(300),
        error=0.1,
        slack=0.1,
        delay=1200,
        note=EARLY.format(300 * MP3_FRAME / RATE),
    ),
)

_CUT = (
    *(
        Case(
            name=f"cut_{subtype.lower()}.{form.lower()}",
            content=functools.partial(half, form, subtype),
            seconds=0.5,
            slack=0.1,
            error=error,
            note=EARLY.format(1),
        )
        for form, subtype, error in (
            ("WAV", "PCM_16", 1e-3),
            ("WAV", "ULAW", 0.03),
            ("AIFF", "PCM_16", 1e-3),
            ("AU", "PCM_16", 1e-3),
            ("RF64", "PCM_16", 1e-3),
            ("W64", "PCM_16", 1e-3),
            ("NIST", "PCM_16", 1e-3),
        )
    ),
    Case(
        name="cut.adpcm.wav",
        content=lambda: half("WAV", "IMA_ADPCM"),
        seconds=0.5,
        slack=0.1,
        error=0.1,
        note=r"ends early: its header promises 1\.\d\d s",
    ),
    Case(
        name="cut.caf",
        content=lambda: half("CAF", "PCM_16"),
        seconds=0.45,
        slack=0.1,
        note=EARLY.format(1),
    ),
    Case(
        name="cut.flac",
        content=lambda: half("FLAC", "PCM_16", LONG),
        seconds=8,
        slack=0.5,
        note=EARLY.format(LONG),
    ),
    Case(
        name="cut_pipe.flac",
        content=lambda: flac(0, LONG)[: len(flac(0, LONG)) // 2],
        seconds=8,
        slack=0.5,
        note=r"ends early or is damaged: \d\.\d\d s could be decoded\.$",
    ),
    Case(
        name="cut.mp3",
        content=lambda: half("MP3", "MPEG_LAYER_III", LONG),
        seconds=8,
        slack=1,
        error=0.1,
        delay=1200,
        note=r"ends early: its header promises 16\.\d\d s, \d\.\d\d s came\.$",
    ),
    *(
        Case(
            name=f"cut.{subtype.lower()}.ogg",
            content=functools.partial(half, "OGG", subtype, LONG),
            seconds=8,
            slack=3,
            error=0.1,
            note=r"ends early or is damaged: \d\.\d\d s could be decoded\.$",
        )
        for subtype in ("VORBIS", "OPUS")
    ),
)


def _joined(first, second):
    """The clip in two files, one behind the other."""
    cut = round(0.6 * RATE)
    return b"".join(written(part, *first) for part in (clip()[:cut], clip()[cut:])) + second


def _with_junk():
    """An MP3 file with a foreign block between two frames."""
    content = mp3()
    place = content.index(content[:2], len(content) // 2)
    return content[:place] + bytes(999) + content[place:]


_JOINED = (
    Case(name="joined.wav", content=lambda: _joined(("WAV", "PCM_16"), b"")),
    Case(
        name="joined_listed.wav", content=lambda: _joined(("WAV", "PCM_16"), b"LIST\x04\0\0\0INFO")
    ),
    Case(name="joined.vorbis.ogg", content=lambda: _joined(("OGG", "VORBIS"), b""), error=0.15),
    Case(name="joined.opus.ogg", content=lambda: _joined(("OGG", "OPUS"), b""), error=0.15),
    Case(name="joined.mp3", content=lambda: _joined(("MP3", "MPEG_LAYER_III"), b""), error=0.15),
    Case(name="tagged.mp3", content=lambda: id3() + mp3() + b"TAG".ljust(128, b"x"), error=0.1),
    Case(name="tagged.flac", content=lambda: id3() + encoded("FLAC", "PCM_16")),
    Case(name="tagged.wav", content=lambda: id3() + encoded("WAV", "PCM_16")),
    Case(name="junk_before.mp3", content=lambda: bytes(999) + mp3(), error=0.1),
    Case(
        name="junk_within.mp3",
        content=_with_junk,
        error=0.1,
    ),
    # Called what they are not.
    Case(name="wav_called.mp3", content=lambda: encoded("WAV", "PCM_16")),
    Case(name="flac_called.wav", content=lambda: encoded("FLAC", "PCM_16")),
    Case(name="mp3_called.wav", content=mp3, error=0.1),
    Case(name="vorbis_called.flac", content=lambda: encoded("OGG", "VORBIS"), error=0.1),
    Case(name="nameless", content=lambda: encoded("WAV", "PCM_16")),
)

_RANGE = (
    Case(name="overshoot.wav", content=lambda: written(2.75 * clip()), gain=2.75, error=1e-6),
    Case(
        name="unscaled.wav",
        content=lambda: written(32767 * clip()),
        refusal=r"holds a peak of 13106\.8, and float samples must be in .-1, 1.; divide 16-bit",
    ),
    Case(
        name="nan.wav",
        content=lambda: written(np.append(clip(), np.float32(np.nan))),
        refusal="holds samples that are NaN or infinite; encode the audio again",
    ),
    Case(
        name="infinite.wav",
        content=lambda: written(np.append(clip(), np.float32(np.inf))),
        refusal="holds samples that are NaN or infinite; encode the audio again",
    ),
    Case(
        name="one_hertz.wav",
        content=lambda: replaced(encoded("WAV", "PCM_16"), 24, "<I", 1),
        refusal="says that its sample rate is 1 Hz, which no recording has",
    ),
    Case(name="no_samples.wav", content=lambda: wav(0)[:44], refusal="holds no audio samples"),
    Case(name="all_cut.wav", content=lambda: wav(32000)[:44], refusal="holds no audio samples"),
    Case(
        name="no_samples_listed.wav",
        content=lambda: wav(0)[:44] + b"LIST\x04\0\0\0INFO",
        refusal="holds no audio samples",
    ),
    Case(name="only_a_tag.mp3", content=id3, refusal="holds no MP3 frame"),
    Case(name="longer_tag.mp3", content=lambda: id3()[:50], refusal="holds no MP3 frame"),
    Case(name="cut_count.mp3", content=lambda: mp3_tag()[:18], refusal="holds no audio samples"),
    Case(name="only_a_count.mp3", content=mp3_tag, refusal="holds no audio samples"),
    Case(name="headers.ogg", content=lambda: half("OGG", "VORBIS"), refusal="ca?n?n?o?t?.*audio"),
)


def _foreign():
    for name, content, sentence in (
        (
            "page.mp3",
            b"<!DOCTYPE html><html><body>404</body></html>" * 50,
            "it is a web page or XML",
        ),
        ("page.wav", b"\xef\xbb\xbf\n <html>not found</html>", "it is a web page or XML"),
        ("error.flac", b'{"error": "quota exceeded"}', 'it is text, \'."error"'),
        ("text.au", b"one two three four five six seven", "it is text, 'one two"),
        (
            "pointer.flac",
            b"version https://git-lfs.github.com/spec/v1\noid",
            "Git LFS; run git lfs",
        ),
        ("notes.mid", b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk", "MIDI, notes without sound"),
        ("paper.wav", b"%PDF-1.7 and so on", "a PDF document"),
        ("archive.wav", b"PK\x03\x04" + bytes(99), "a ZIP archive; unpack it"),
        ("packed.wav", b"\x1f\x8b\x08" + bytes(99), "compressed by gzip; unpack it"),
        ("cover.mp3", b"\x89PNG\r\n\x1a\n" + bytes(99), "a picture"),
        ("photo.mp3", b"\xff\xd8\xff\xe0" + bytes(99), "a picture"),
        ("song.mp3", b"\0\0\0\x20ftypM4A " + bytes(99), "an MP4 or M4A file, which is not decoded"),
        (
            "talk.webm",
            b"\x1aE\xdf\xa3" + bytes(99),
            "a WebM or Matroska file, which is not decoded",
        ),
        ("talk.wma", b"0&\xb2u\x8ef\xcf\x11" + bytes(99), "a WMA file, which is not decoded"),
        ("phone.amr", b"#!AMR\n" + bytes(99), "an AMR file, which is not decoded"),
        ("stream.aac", b"\xff\xf1\x50\x80" + bytes(99), "an AAC file, which is not decoded"),
        ("film.avi", b"RIFF\0\0\0\0AVI LIST" + bytes(99), "an AVI video, which is not decoded"),
        ("noise.mp3", np.random.default_rng(0).bytes(9999), "holds no MP3 frame"),
        ("noise.wav", np.random.default_rng(1).bytes(9999), "cannot be decoded as audio"),
        ("zeros.wav", bytes(9999), r"cannot be decoded as audio \("),
        ("empty.wav", b"", "is empty; record it again or leave it out"),
        ("empty.mp3", b"", "is empty; record it again or leave it out"),
    ):
        yield Case(name=name, content=functools.partial(bytes, content), refusal=sentence)


CASES = (*_plain(), *_CHANNELS, *_LYING, *_CUT, *_JOINED, *_RANGE, *_foreign())
