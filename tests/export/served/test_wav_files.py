import io
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from int4_conformer.export.served.resampling import resample
from int4_conformer.export.served.wav_files import decode_wav
from tests.support import odd_files

RNG = np.random.default_rng(0)
DECODE = tf.function(decode_wav, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def wav(samples, subtype="PCM_16", form="WAV", rate=16000):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def decoded(content):
    sound = DECODE(tf.constant(content))
    assert sound.error == b"", sound.error
    return sound.samples.numpy(), int(sound.rate)


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def header(tag=1, channels=1, rate=16000, bits=16):
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits))


SPEECH = np.float32(RNG.uniform(-0.9, 0.9, 401))


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"]
)
@pytest.mark.parametrize("rate", [8000, 44100])
def test_samples_are_those_that_libsndfile_reads(form, subtype, rate):
    content = wav(SPEECH, subtype, form, rate)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    samples, found = decoded(content)
    assert found == rate
    np.testing.assert_allclose(samples, expected, atol=1e-7)


def test_all_codes_of_g711():
    for tag in (6, 7):
        content = riff(header(tag, bits=8), chunk(b"data", bytes(range(256))))
        expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
        np.testing.assert_array_equal(decoded(content)[0], expected)


def test_channels_are_mixed_and_the_louder_is_taken_where_they_cancel():
    left, right = RNG.uniform(-0.4, 0.4, [2, 500])
    samples, _ = decoded(wav(np.stack([left, right], axis=1), "FLOAT"))
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-7)
    samples, _ = decoded(wav(np.stack([left, -1.1 * left], axis=1), "FLOAT"))
    np.testing.assert_allclose(samples, -1.1 * left, atol=1e-7)


PCM = np.int16(32767 * SPEECH).tobytes()


@pytest.mark.parametrize(
    "content",
    [
        riff(chunk(b"LIST", b"abc"), header(), chunk(b"fact", b"1234"), chunk(b"data", PCM)),
        riff(header(), chunk(b"data", PCM), chunk(b"LIST", b"trailing")),
        # Of writers that did not know the size, or said another than is there.
        riff(header(), b"data" + struct.pack("<I", 0) + PCM),
        riff(header(), b"data" + struct.pack("<I", 0xFFFFFFFF) + PCM),
        riff(header(), b"data" + struct.pack("<I", 10**6) + PCM),
        riff(header(), chunk(b"data", PCM + b"x")),
        b"RIFF\xff\xff\xff\xffWAVE" + header() + chunk(b"data", PCM),
    ],
    ids=["chunks before", "chunks behind", "none", "largest", "too large", "half", "endless"],
)
def test_lengths_are_what_is_there(content):
    np.testing.assert_array_equal(decoded(content)[0], np.frombuffer(PCM, np.int16) / 32768)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds no byte."),
        (b"fLaC\0\0", "holds FLAC; send WAV with PCM, float, A-law or mu-law samples, or decode"),
        (b"OggS", "holds Ogg; send"),
        (b"ID3\x04", "holds MP3; send"),
        (b"<!doctype html>", "holds no WAV file; send"),
        (b"RIFF", "holds no WAV file; send"),
        (b"RIFF\0\0\0\0AVI ", "holds no WAV file; send"),
        (riff(header()), "holds a WAV file without format or samples."),
        (riff(chunk(b"data", PCM)), "holds a WAV file without format or samples."),
        (riff(chunk(b"fmt ", b"12"), chunk(b"data", PCM)), "holds a WAV file without format"),
        (riff(header(tag=17, bits=4), chunk(b"data", PCM)), "of format 17 with 4 bits; send"),
        (riff(header(bits=12), chunk(b"data", PCM)), "of format 1 with 12 bits; send"),
        (riff(header(channels=0), chunk(b"data", PCM)), "must have 1 to 8 channels"),
        (riff(header(channels=9), chunk(b"data", PCM)), "must have 1 to 8 channels"),
    ],
)
def test_what_is_no_wav_file_gets_a_sentence(content, complaint):
    sound = DECODE(tf.constant(content))
    assert complaint in sound.error.numpy().decode()
    assert sound.samples.shape == (0,)


def test_bytes_that_are_anything_never_fail():
    whole = riff(header(), chunk(b"data", PCM[:64]))
    for seed in range(300):
        rng = np.random.default_rng(seed)
        content = bytearray(whole[: rng.integers(0, len(whole) + 1)])
        for place in rng.integers(0, max(1, len(content)), rng.integers(0, 4)):
            content[place : place + 1] = rng.bytes(1)
        sound = DECODE(tf.constant(bytes(content)))
        assert sound.error.numpy() or sound.samples.shape.rank == 1


# Of what a killed writer left, and of files joined by `cat`, the part is heard that a header tells
# of: a request comes from a program, not from a disk that was full.
HEARD_IN_PART = ("killed.wav", "joined.wav", "joined_listed.wav")
CASES = [
    case
    for case in odd_files.CASES
    if case.name.endswith(".wav") and not case.refusal and case.name not in HEARD_IN_PART
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_odd_files(case):
    sound = DECODE(tf.constant(case.content()))
    if sound.error.numpy():
        assert b"; send WAV with PCM" in sound.error.numpy()
        return
    rate = int(sound.rate)
    case.check(sound.samples.numpy() if rate == 16000 else resampled(sound.samples, rate).numpy())


def resampled(samples, rate):
    return tf.function(resample, autograph=False)(samples, tf.constant(rate), 16000)
