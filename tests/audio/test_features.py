import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as litert

from int4_conformer import verify_steppable
from int4_conformer.audio.features import LogMel, mel_matrix
from int4_conformer.audio.geometry import FrontEndConfig
from int4_conformer.errors import UserError
from tests.support.streaming import SEGMENTS_ALONE

CONFIGS = [
    FrontEndConfig(),
    FrontEndConfig(sample_rate=8000, mel_bins=40, window=200, hop=80),
    FrontEndConfig(mel_bins=10, window=300, hop=100),
    FrontEndConfig(mel_bins=10, remove_dc_offset=False),
]


def pcm(config, frames=12, batch=2):
    rng = np.random.default_rng(0)
    return rng.uniform(-0.5, 0.5, [batch, frames * config.hop]).astype(np.float32)


def log_mel(samples, config):
    """Frames of one utterance, one after another, float64."""
    n = np.arange(config.window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / config.window)
    fft_length = 256 if config.window <= 256 else 512
    mel = mel_matrix(config.mel_bins, fft_length, config.sample_rate)
    padded = np.concatenate([np.zeros(config.window), samples.astype(np.float64)])
    frames = []
    for t in range(len(samples) // config.hop):
        end = config.window + (t + 1) * config.hop
        frame = padded[end - config.window : end]
        if config.remove_dc_offset:
            frame = np.where(frame == 0, 0, frame - frame.sum() / max(1, np.count_nonzero(frame)))
        spectrum = np.fft.rfft(frame * hann, fft_length)
        frames.append(np.log(np.abs(spectrum) ** 2 @ mel + 1e-6))
    return np.array(frames)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_frames_are_log_mel_powers_of_windows_that_look_back(config):
    samples = pcm(config)
    features = LogMel(config)(samples)
    assert features.shape == (2, 12, config.mel_bins)
    for row, frames in zip(samples, features, strict=True):
        np.testing.assert_allclose(frames, log_mel(row, config), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("offset", [0.5, -0.01])
def test_direct_current_is_not_heard(offset):
    config = CONFIGS[0]
    # Quiet, as speech is beside such an offset.
    samples = 0.02 * pcm(config, frames=30)
    shifted = samples + np.float32(offset)
    wanted = np.array([log_mel(row, config) for row in samples])
    np.testing.assert_allclose(LogMel(config)(shifted), wanted, atol=1e-3)
    kept = LogMel(dataclasses.replace(config, remove_dc_offset=False))(shifted).numpy()
    assert np.abs(kept - wanted).max() > 0.5


def test_an_offset_begins_and_ends_without_a_click():
    config = CONFIGS[0]
    samples = np.full([1, 20 * config.hop], 0.5, np.float32)
    # Padded to the length of a batch; of an utterance that begins and ends within a hop.
    samples[:, :50] = samples[:, -300:] = 0
    np.testing.assert_allclose(LogMel(config)(samples), np.log(1e-6), atol=0.1)


def test_the_exported_front_end_removes_it_as_well():
    config = FrontEndConfig(mel_bins=20)
    layer, samples = LogMel(config), pcm(config, frames=30, batch=1) * np.float32(0.02)
    graph = tf.function(
        layer.log_mel, input_signature=[tf.TensorSpec([1, samples.shape[1]])], autograph=False
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [graph.get_concrete_function()], layer
    )
    interpreter = litert.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], samples + np.float32(0.5))
    interpreter.invoke()
    features = interpreter.get_tensor(found["index"])
    np.testing.assert_allclose(features, layer.log_mel(samples), atol=2e-3)


def test_layers_of_before_keep_it():
    fields = LogMel(CONFIGS[0]).get_config()
    assert LogMel.from_config(fields).config == CONFIGS[0]
    del fields["config"]["remove_dc_offset"]
    assert not LogMel.from_config(fields).config.remove_dc_offset


def test_a_frame_hears_its_window_and_nothing_later():
    config, layer = CONFIGS[0], LogMel(CONFIGS[0])
    samples = pcm(config)
    moved = samples.copy()
    moved[:, 5 * config.hop + 100] += 0.5
    changed = np.any(layer(moved).numpy() != layer(samples).numpy(), axis=(0, 2))
    # The window is 2.5 hops: it holds the sample in frames 5, 6 and 7.
    np.testing.assert_array_equal(np.flatnonzero(changed), [5, 6, 7])


def test_silence_is_the_floor():
    np.testing.assert_allclose(LogMel(CONFIGS[0])(np.zeros([1, 1600], np.float32)), np.log(1e-6))


@pytest.mark.parametrize("shape", [[2, None], [None, 1920], [None, None]], ids=str)
def test_unknown_axes(shape):
    layer, samples = LogMel(CONFIGS[0]), pcm(CONFIGS[0])
    graph = tf.function(layer, input_signature=[tf.TensorSpec(shape)], autograph=False)
    np.testing.assert_allclose(graph(samples), layer(samples), atol=1e-4)


def test_a_tone_is_loudest_in_its_band():
    config = CONFIGS[0]
    corners = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 8000 / 700), 82)
    for hertz in (300, 1000, 4000):
        tone = np.sin(2 * np.pi * hertz / 16000 * np.arange(1600)).astype(np.float32)
        band = np.argmax(LogMel(config)(tone[None])[0, 5])
        centre = corners[1 + band]
        assert abs(centre - 2595 * np.log10(1 + hertz / 700)) < corners[1] - corners[0]


@pytest.mark.parametrize(
    ("bins", "fft_length", "rate"),
    [(80, 512, 16000), (80, 256, 8000), (128, 512, 16000), (1, 64, 8000)],
)
def test_mel_filters_are_triangles_and_none_is_silent(bins, fft_length, rate):
    matrix = mel_matrix(bins, fft_length, rate)
    assert matrix.shape == (fft_length // 2 + 1, bins)
    assert matrix.dtype == np.float32
    assert matrix.min() >= 0
    assert matrix.max() <= 1
    assert np.all(matrix.sum(axis=0) > 0)
    # The centres ascend, and each filter rises to its peak and falls.
    assert np.all(np.diff(matrix.argmax(axis=0)) >= 0)
    for column in matrix.T:
        peak = column.argmax()
        assert np.all(np.diff(column[: peak + 1]) >= 0)
        assert np.all(np.diff(column[peak:]) <= 0)


def test_neighbouring_wide_filters_share_a_frequency_between_them():
    matrix = mel_matrix(10, 1024, 16000)
    inside = slice(matrix[:, 0].argmax() + 1, matrix[:, -1].argmax())
    np.testing.assert_allclose(matrix[inside].sum(axis=1), 1, atol=1e-6)


def test_adapting_gives_zero_mean_and_unit_variance():
    layer = LogMel(CONFIGS[0])
    rng = np.random.default_rng(0)
    batches, real = [], []
    for scale in (0.01, 0.3):
        samples = scale * pcm(CONFIGS[0], frames=40, batch=3) * rng.uniform(0.1, 1, [3, 1])
        # The last length ends inside a frame, which does not count.
        lengths = np.int32([40, 20, 30]) * 160 + [0, 0, 100]
        samples[np.arange(6400) >= lengths[:, None]] = 0
        batches.append((tf.constant(samples, tf.float32), tf.constant(lengths)))
    before = layer(batches[0][0]).numpy()
    layer.adapt(batches)
    for samples, _ in batches:
        features = layer(samples).numpy()
        real += [features[0, :40], features[1, :20], features[2, :30]]
    real = np.concatenate(real)
    np.testing.assert_allclose(real.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(real.std(axis=0), 1, atol=1e-3)
    assert np.abs(layer(batches[0][0]) - before).max() > 1
    assert not layer.trainable_weights


def test_a_constant_band_is_not_blown_up():
    layer = LogMel(CONFIGS[0])
    layer.adapt([(np.zeros([1, 1600], np.float32), np.int32([1600]))])
    np.testing.assert_allclose(layer.inverse_std, 100)


@pytest.mark.parametrize("batches", [[], [(np.zeros([1, 160], np.float32), np.int32([159]))]])
def test_adapting_to_nothing_is_refused(batches):
    with pytest.raises(UserError, match="no frame to take feature statistics from"):
        LogMel(CONFIGS[0]).adapt(batches)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_segments_have_the_frames_of_the_whole(config):
    layer = LogMel(config)
    layer.adapt([(pcm(config), np.int32([12, 12]) * config.hop)])
    samples = pcm(config, frames=13, batch=3)
    # The windows are all that these differ in.
    options = {} if config is CONFIGS[1] else SEGMENTS_ALONE
    verify_steppable(layer, samples, lengths=[13, 5, 9], **options)
