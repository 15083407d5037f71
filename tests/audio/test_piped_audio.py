import io
import struct

import numpy as np
import pytest
import soundfile

from int4_conformer.audio.piped_audio import PcmForm, PipedAudio
from int4_conformer.errors import UserError
from tests.support.odd_files import mp3

SAMPLES = (0.5 * np.sin(np.arange(3000) / 7)).astype(np.float32)


def heard(content, step=None, raw=None, is_raw=False, channel="mix"):
    """Samples, rate and notes of bytes that come `step` at a time."""
    file, notes = io.BytesIO(content), []

    def read(most):
        assert most > 0
        return file.read(min(most, step or most))

    piped = PipedAudio(read, raw or PcmForm(), is_raw=is_raw, channel=channel, on_note=notes.append)
    parts = list(piped.audio())
    assert all(part.dtype == np.float32 and part.ndim == 1 for part in parts)
    return np.concatenate(parts), piped.rate, notes


def wav(samples=SAMPLES, rate=16000, subtype="PCM_16", **settings):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype, **settings)
    return file.getvalue()


def of_length(content, length):
    """A WAV file whose header says that its samples are so many bytes."""
    place = content.index(b"data") + 4
    return content[:place] + struct.pack("<I", length) + content[place + 4 :]


@pytest.mark.parametrize("step", [1, 7, 1000, None])
@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"], ids=str
)
def test_wav_files_are_what_libsndfile_hears(subtype, step):
    content = wav(rate=22050, subtype=subtype)
    samples, rate, notes = heard(content, step)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_allclose(samples, expected, atol=1e-7)
    assert (rate, notes) == (22050, [])


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_files_of_unknown_length(length):
    samples, _, notes = heard(of_length(wav(), length))
    assert (len(samples), notes) == (len(SAMPLES), [])


def test_rf64_files():
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, 16000, format="RF64", subtype="PCM_16")
    samples, _, notes = heard(file.getvalue() + b"more")
    assert (len(samples), notes) == (len(SAMPLES), [])


def test_words_do_not_wait_for_the_end():
    asked = []

    def read(most):
        asked.append(most)
        return content.read(most)

    content = io.BytesIO(wav(np.zeros(160000, np.float32)))
    piped = PipedAudio(read, PcmForm(), is_raw=False, on_note=print)
    next(piped.audio())
    assert content.tell() < 2 * 1600 + 100


def test_what_follows_the_samples_is_not_heard():
    samples, _, notes = heard(wav() + b"LIST\x04\0\0\0abcd")
    assert (len(samples), notes) == (len(SAMPLES), [])


@pytest.mark.parametrize("step", [7, None])
def test_samples_may_begin_as_mp3_does(step):
    content = mp3()[:4] + (32767 * SAMPLES).astype("<i2").tobytes()
    samples, _, _ = heard(content, step)
    np.testing.assert_array_equal(samples, np.frombuffer(content, "<i2") / np.float32(32768))


def test_early_ends_are_told():
    assert heard(wav()[:-3000])[2] == [
        "Standard input ends early: its header promises 0.19 s, 0.09 s came."
    ]
    raw = (32767 * SAMPLES).astype("<i2").tobytes()
    samples, _, notes = heard(raw + b"\1")
    assert len(samples) == len(SAMPLES)
    assert notes == ["Standard input ends within a sample; its last 1 bytes were left out."]


@pytest.mark.parametrize("step", [1, 1001, None])
def test_raw_samples(step):
    form = PcmForm(rate=8000, channels=2, format="f32le")
    both = np.stack([SAMPLES, 0 * SAMPLES], axis=1)
    samples, rate, notes = heard(both.astype("<f4").tobytes(), step, form, is_raw=True)
    np.testing.assert_allclose(samples, SAMPLES / 2)
    assert (rate, notes) == (8000, [])
    samples, _, _ = heard(both.astype("<f4").tobytes(), step, form, is_raw=True, channel="2")
    assert not samples.any()


def test_channels_that_cancel_each_other_are_told_once():
    _, _, notes = heard(wav(np.stack([SAMPLES, -SAMPLES], axis=1)))
    assert len(notes) == 1
    assert "cancel each other" in notes[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds no audio samples"),
        (b"\1", "holds no audio samples"),
        (wav()[:30], "has a damaged WAV header"),
        (wav()[:17], "ends within the header of a WAV file"),
        (wav()[:44], "holds no audio samples"),
        (b"fLaC" + bytes(99), "is a FLAC file, and WAV or raw PCM is read; convert it on the way"),
        (b"\0\0\0\x18ftypM4A " + bytes(99), "is an MP4 or M4A file"),
        (mp3(), "is an MP3 file"),
        (b"<!doctype html>" + bytes(99), "is text, '<!doctype ht'..., and WAV or raw PCM is read"),
        (wav(subtype="ULAW"), "encoding that is not read from a pipe (tag 7, 8 bits)"),
        (wav().replace(struct.pack("<I", 16000), struct.pack("<I", 1)), "1 channels at 1 Hz"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0" + bytes(99), "a WAV header without a format"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0ab" + bytes(99), "a damaged WAV header"),
        (b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\xff" + bytes(99), "a damaged WAV header"),
        (wav(9 * SAMPLES, subtype="FLOAT"), "holds a peak of 4.5"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else len(value),
)
def test_refusals(content, sentence):
    with pytest.raises(UserError) as refusal:
        heard(content)
    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith("Standard input")


def test_a_pipe_that_cannot_be_read():
    def read(most):
        raise IsADirectoryError(21, "Is a directory")

    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        PipedAudio(read, PcmForm(), is_raw=False, on_note=print)
