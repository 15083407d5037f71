import numpy as np
import pytest

from int4_conformer.audio import samples as samples_lib
from int4_conformer.audio.samples import as_float, require_channel, require_rate, to_mono
from int4_conformer.errors import UserError


def noise(count=1000, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "received", "advice"),
    [
        (np.zeros(4), "float64", "numpy.asarray(samples, numpy.float32)"),
        ([0.5, 0.25], "float64", "numpy.asarray(samples, numpy.float32)"),
        (np.zeros(4, np.float16), "float16", "numpy.asarray(samples, numpy.float32)"),
        (
            np.zeros(4, np.uint8),
            "uint8",
            "(samples.astype(numpy.float32) - 128) / 128, of the bytes of 16-bit PCM "
            "samples.view(numpy.int16)",
        ),
        (bytearray(4), "uint8", "samples.view(numpy.int16)"),
        (bytes(4), "bytes", "numpy.frombuffer(data, numpy.int16)"),
        ([1, -2, 32767], "int64", "numpy.asarray(samples, numpy.int16)"),
        (np.int32([5, -32768]), "int32", "numpy.asarray(samples, numpy.int16)"),
        (np.int32([5, 1 << 20]), "int32", "(samples / 2**31).astype(numpy.float32)"),
        (np.uint16([60000]), "uint16", "(samples / 2**16).astype(numpy.float32)"),
        (np.int8([5]), "int8", "(samples / 2**7).astype(numpy.float32)"),
        ("speech.wav", "a text", "int4_conformer.audio.audio_files.read(path)"),
        (None, "object", "give a NumPy array"),
        ([True], "bool", "give a NumPy array"),
        ([[0.5], [0.5, 0.5]], "a list of parts of different lengths", ""),
    ],
)
def test_advice(samples, received, advice):
    with pytest.raises(UserError) as refusal:
        as_float(samples)
    assert f"Received: {received}" in str(refusal.value)
    assert advice in str(refusal.value)


def test_following_the_advice_gives_the_samples():
    pcm = np.int16([0, 5, -300, 32767, -32768])
    wanted = as_float(pcm)
    np.testing.assert_array_equal(as_float(np.frombuffer(pcm.tobytes(), np.int16)), wanted)
    np.testing.assert_array_equal(as_float(np.asarray(pcm.tolist(), np.int16)), wanted)
    pcm32 = pcm.astype(np.int32) << 16
    np.testing.assert_array_equal(as_float((pcm32 / 2**31).astype(np.float32)), wanted)
    bytes_of_pcm = np.frombuffer(pcm.tobytes(), np.uint8)
    np.testing.assert_array_equal(as_float(bytes_of_pcm.view(np.int16)), wanted)


@pytest.mark.parametrize("rate", ["16000", None, True, 0, -1, float("nan"), float("inf"), [16000]])
def test_rates_are_numbers_of_hertz(rate):
    with pytest.raises(UserError, match="`sample_rate` must be positive, a number of Hz"):
        require_rate(rate)


@pytest.mark.parametrize("rate", [16000, 22050.5, np.int64(8000), np.float32(8000)])
def test_any_number_is_a_rate(rate):
    require_rate(rate)


@pytest.mark.parametrize("channel", ["0", 0, -1, "-1", "middle", "", 1.5, None])
def test_channels_have_names_or_numbers(channel):
    with pytest.raises(UserError, match="`channel` must be mix, left, right or a number from 1 on"):
        require_channel(channel)


def test_channels():
    channels = np.stack([noise(seed=seed) for seed in range(3)], axis=1)
    for channel, index in (("left", 0), ("right", 1), ("1", 0), (2, 1), ("3", 2)):
        require_channel(channel)
        mono, note = to_mono(channels, channel, "x")
        np.testing.assert_array_equal(mono, channels[:, index])
        assert note is None
    mono, note = to_mono(channels, "mix", "x")
    np.testing.assert_allclose(mono, channels.mean(axis=1))
    assert note is None
    with pytest.raises(UserError, match="x has no channel '4'; it has 3, numbered from 1 on"):
        to_mono(channels, "4", "x")
    with pytest.raises(UserError, match="x has no channel 'right'; it has 1"):
        to_mono(channels[:, :1], "right", "x")


@pytest.mark.parametrize(
    ("gains", "taken"),
    [
        ((1, 1), None),
        ((1, 0), None),
        ((0, 0), None),
        ((1, -1), 0),
        ((0.5, -0.9), 1),
        ((-1, 1, 1, -1), 0),
        # One of them bled into the other, reversed.
        ((1, -0.1), None),
    ],
)
def test_channels_that_cancel_each_other_are_not_mixed(gains, taken):
    channels = noise()[:, None] * np.float32(gains)
    mono, note = to_mono(channels, "mix", "x")
    if taken is None:
        np.testing.assert_allclose(mono, channels.mean(axis=1))
        assert note is None
    else:
        np.testing.assert_array_equal(mono, channels[:, taken])
        assert f"channel {taken + 1} of {len(gains)}, was taken instead of their mix" in note


def test_independent_channels_are_mixed():
    channels = np.stack([noise(seed=seed) for seed in range(8)], axis=1)
    assert to_mono(channels, "mix", "x")[1] is None


def test_offsets_that_cancel_are_no_loss():
    # Of the same speech with the microphones' offsets, which differ.
    channels = noise()[:, None] * np.float32([0.1, 0.1]) + np.float32([0.5, -0.5])
    mono, note = to_mono(channels, "mix", "x")
    np.testing.assert_allclose(mono, channels.mean(axis=1))
    assert note is None


def test_range():
    samples_lib.require_range(np.float32([1.5, -4]), "x")
    samples_lib.require_range(np.zeros([0, 2], np.float32), "x")
    with pytest.raises(UserError, match=r"x holds a peak of 4\.5, and float samples must be in"):
        samples_lib.require_range(np.float32([[0, -4.5]]), "x")
    with pytest.raises(UserError, match="x holds samples that are NaN or infinite"):
        samples_lib.require_range(np.float32([0, np.nan]), "x")


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("gains", [(1, 0.3), (1, -1), (0.5, -0.9), (-1, 1, 1, -1)])
def test_channels_are_looked_at_bit_by_bit(gains, size):
    channels = noise()[:200, None] * np.float32(gains)
    mix = samples_lib.ChannelMix(len(gains), "x")
    for start in range(0, len(channels), size):
        mix.look(channels[start : start + size])
    mono, note = to_mono(channels, "mix", "x")
    np.testing.assert_array_equal(mix.mono(channels), mono)
    assert mix.note == note
    # As they are defined: of the energies in the channels, what the mean keeps.
    kept = channels.mean(axis=1).var() / (channels.var(axis=0).sum() / len(gains) ** 2)
    assert (note is None) == (kept >= samples_lib.LEAST_KEPT)
