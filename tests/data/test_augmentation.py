import dataclasses

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from int4_conformer.data.augmentation import codecs, filters, levels, noise_mixing, rooms
from int4_conformer.data.augmentation.augmentation_config import CODECS, AugmentationConfig
from int4_conformer.data.augmentation.augmenter import Augmenter
from int4_conformer.data.augmentation.sound_folder import SoundFolder
from int4_conformer.data.buckets import stretched
from int4_conformer.errors import UserError
from int4_conformer.text.graphemes import Graphemes

SEEDS = st.integers(0, 2**32)
GRAPHEMES = Graphemes()
EVERYTHING = AugmentationConfig(
    speed_perturbation="0.9..1.1",
    volume_db=6.0,
    noise="synthetic",
    noise_probability=1.0,
    rooms="synthetic",
    room_probability=1.0,
    codecs="telephone,mulaw",
    codec_probability=0.5,
    low_pass_probability=0.5,
    clipping_probability=0.5,
)


def speech(count, seed=0, level=0.3):
    """Something with a pitch and pauses."""
    times = np.arange(count) / 16000
    tone = np.sin(2 * np.pi * 200 * times) + 0.3 * np.sin(2 * np.pi * 1900 * times)
    loud = np.random.default_rng(seed).random(count // 800 + 1).repeat(800)[:count]
    return (level * tone * loud).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 6000), st.sampled_from([0.5, 0.9, 1.0, 1.07, 2.0]))
def test_lengths_and_bounds_hold_and_draws_repeat(seed, count, speed):
    augmenter = Augmenter(EVERYTHING, seed)
    given = speech(count, seed, level=0.9)
    kept = given.copy()
    heard = augmenter(given, speed=speed, batch=seed % 1000, row=3)
    assert heard.dtype == np.float32
    assert heard.size == stretched(np.array(count), speed)
    assert np.abs(heard).max(initial=0.0) <= 1.0
    again = Augmenter(EVERYTHING, seed)(given, speed=speed, batch=seed % 1000, row=3)
    np.testing.assert_array_equal(heard, again)
    np.testing.assert_array_equal(given, kept)


def test_rows_batches_and_seeds_differ_and_effects_have_draws_of_their_own():
    given = speech(8000)
    heard = [
        Augmenter(EVERYTHING, seed)(given, speed=1.0, batch=batch, row=row)
        for seed, batch, row in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    ]
    assert not any(np.array_equal(heard[0], other) for other in heard[1:])
    noisy = AugmentationConfig(noise="synthetic", noise_probability=1.0)
    louder = dataclasses.replace(noisy, volume_db=12.0)
    soft, loud = (Augmenter(c, 0)(given, speed=1.0, batch=5, row=2) for c in (noisy, louder))
    np.testing.assert_allclose(loud / np.abs(loud).max(), soft / np.abs(soft).max(), atol=1e-5)
    plain = Augmenter(AugmentationConfig(), 0)
    assert plain(given, speed=1.0, batch=0, row=0) is given


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(-10, 40), st.sampled_from([0.05, 0.9]))
def test_noise_has_the_ratio_that_was_asked_for(seed, snr_db, level):
    given = speech(4000, seed, level)
    noise = noise_mixing.synthetic_noise(4000, np.random.default_rng(seed))
    heard = noise_mixing.mixed(given, noise, snr_db)
    assert np.abs(heard).max(initial=0.0) <= 1.0
    # What is made softer is so as a whole: least squares tell by how much.
    design = np.stack([given, noise], axis=1).astype(np.float64)
    (of_speech, of_noise), *_ = np.linalg.lstsq(design, heard.astype(np.float64), rcond=None)
    if noise.any():
        ratio = np.sum((of_speech * given) ** 2) / np.sum((of_noise * noise) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.05)
    np.testing.assert_array_equal(noise_mixing.mixed(given, np.zeros_like(given), 0.0), given)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(1, 400), st.integers(1, 300))
def test_a_room_is_a_convolution_that_keeps_time_and_level(seed, count, taps):
    rng = np.random.default_rng(seed)
    given, response = rng.normal(size=count).astype(np.float32), rng.normal(size=taps)
    found = filters.convolved(given, response.astype(np.float32))
    np.testing.assert_allclose(found, np.convolve(given, response)[:count], atol=1e-3)
    assert filters.fast_size(count) >= count


def test_synthetic_rooms_die_away_as_asked():
    for seconds in (0.1, 0.4):
        response = rooms.synthetic_response(seconds, np.random.default_rng(1))
        assert np.argmax(np.abs(response)) == 0
        part = round(seconds * 16000 / 4)
        early, late = (levels.power(response[n * part : (n + 1) * part]) for n in (1, 3))
        # By 60 dB in all: 30 dB in half of it.
        assert 10 * np.log10(early / late) == pytest.approx(30, abs=2)
        given = np.random.default_rng(2).uniform(-0.3, 0.3, 16000).astype(np.float32)
        heard = rooms.in_room(given, response)
        assert levels.power(heard) == pytest.approx(levels.power(given), rel=1e-3)
        lags = np.fft.irfft(np.fft.rfft(heard, 32768) * np.conj(np.fft.rfft(given, 32768)))
        assert np.argmax(lags) == 0


def test_filters_pass_their_band_alone():
    times = np.arange(16000) / 16000
    for hertz, passes in ((100, False), (1000, True), (5000, False)):
        tone = np.sin(2 * np.pi * hertz * times).astype(np.float32)
        kept = levels.power(filters.band_passed(tone, 300.0, 3400.0)[2000:-2000]) / 0.5
        assert kept == pytest.approx(1.0, abs=0.01) if passes else kept < 1e-3
    rng = np.random.default_rng(0)
    hiss = rng.normal(size=16000).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(filters.low_passed(hiss, rng))) ** 2
    assert spectrum[7200:].sum() < 0.01 * spectrum[:1800].sum()


def test_speed_moves_pitch():
    tone = np.sin(2 * np.pi * 400 * np.arange(16000) / 16000).astype(np.float32)
    faster = levels.played_at(tone, 1.25)
    assert faster.size == 12800
    assert np.argmax(np.abs(np.fft.rfft(faster))) * 16000 / 12800 == pytest.approx(500, abs=2)


def test_clipping_flattens_peaks_and_volume_does_not():
    given = speech(16000)
    rng = np.random.default_rng(0)
    flat = levels.clipped(given, rng)
    most = np.abs(flat).max()
    assert 10 ** (-15 / 20) <= most / np.abs(given).max() <= 10 ** (-3 / 20)
    np.testing.assert_array_equal(flat, np.clip(given, -most, most))
    for _ in range(20):
        louder = levels.with_volume(given, 20.0, rng)
        gain = louder[np.argmax(np.abs(given))] / given[np.argmax(np.abs(given))]
        assert np.abs(louder).max() <= 1.0
        np.testing.assert_allclose(louder, given * gain, atol=1e-6)


@pytest.mark.parametrize("name", CODECS)
def test_codecs_keep_length_time_and_words(name):
    codecs.require_codec(name)
    given = speech(12345) + filters.band_passed(speech(12345, seed=3), 600.0, 3000.0)
    heard = codecs.through_codec(given, name, np.random.default_rng(0))
    assert heard.shape == given.shape
    assert heard.dtype == np.float32
    assert np.abs(heard).max(initial=0.0) <= 1.0
    assert not np.array_equal(heard, given)
    np.testing.assert_array_equal(
        heard, codecs.through_codec(given, name, np.random.default_rng(0))
    )
    lags = np.fft.irfft(np.fft.rfft(heard, 32768) * np.conj(np.fft.rfft(given, 32768)))
    assert np.argmax(lags) == 0


def test_mu_law_is_the_logarithm_in_8_bits():
    values = np.linspace(-1, 1, 40001).astype(np.float32)
    coded = codecs.mu_law(values)
    assert len(np.unique(coded)) == 255
    assert (np.diff(coded) >= 0).all()
    # Steps grow with the value, in proportion where it is large.
    error = np.abs(coded - values)
    assert error[np.abs(values) > 0.1].max() <= 0.025
    assert (error <= 0.03 * np.abs(values) + 1e-4).all()


def test_noise_and_rooms_of_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("a/long.wav", 40000), ("a/b/short.flac", 500)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, rng.uniform(-0.5, 0.5, count), 16000)
    (tmp_path / "a" / "notes.txt").write_text("no sound")
    folder = SoundFolder(str(tmp_path), "noise")
    assert len(folder) == 2
    for seed in range(8):
        found, again = (folder.stretch(3000, np.random.default_rng(seed)) for _ in range(2))
        assert found.shape == (3000,)
        assert levels.power(found) > 0.01
        np.testing.assert_array_equal(found, again)
    (tmp_path / "room").mkdir()
    response = np.zeros(800, np.float32)
    response[[100, 400]] = 0.8, 0.4
    soundfile.write(tmp_path / "room" / "r.wav", response, 16000)
    config = AugmentationConfig(rooms=str(tmp_path / "room"), room_probability=1.0)
    given = speech(4000)
    heard = Augmenter(config, 0)(given, speed=1.0, batch=0, row=0)
    expected = given.copy()
    expected[300:] += 0.5 * given[:-300]
    scale = levels.power(given) / levels.power(expected)
    np.testing.assert_allclose(heard, expected * np.sqrt(scale), atol=1e-3)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"--noise=.*none holds no audio file"):
        Augmenter(AugmentationConfig(noise=str(tmp_path / "none")), 0)


def test_pauses_are_as_soft_as_the_recording_is_where_it_is_softest():
    rng = np.random.default_rng(0)
    given = 1e-3 * rng.standard_normal(16000).astype(np.float32)
    given[4000:12000] += speech(8000)
    augmenter = Augmenter(AugmentationConfig(), 0)
    heard = augmenter(given, speed=1.0, pauses=(8000, 4000), batch=0, row=0)
    assert heard.dtype == np.float32
    np.testing.assert_array_equal(heard[8000:-4000], given)
    for pause in (heard[:8000], heard[-4000:]):
        assert np.std(pause) == pytest.approx(1e-3, rel=0.2)
    again = augmenter(given, speed=1.0, pauses=(8000, 4000), batch=0, row=1)
    assert not np.array_equal(heard, again)
    nothing = augmenter(np.zeros(100, np.float32), speed=1.0, pauses=(0, 50), batch=0, row=0)
    np.testing.assert_array_equal(nothing, np.zeros(150))


@given(SEEDS, st.integers(1, 100), st.sampled_from([0.0, 0.01, 2.0]), st.floats(0, 1))
def test_pauses_are_as_long_and_as_many_as_asked_for(seed, count, seconds, probability):
    config = AugmentationConfig(pause_seconds=seconds, pause_probability=probability)
    pauses = config.pauses(np.random.default_rng(seed), count)
    assert pauses.shape == (count, 2)
    assert pauses.min() >= 0
    assert pauses.sum(axis=1).max() <= seconds * 16000
    if not probability:
        assert not pauses.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed_perturbation": "fast"}, "must hold numbers. Received: speed_perturbation='fast'"),
        ({"speed_perturbation": "0.1,1"}, r"in \[0.5, 2\]. Received: speed_perturbation=0.1"),
        ({"noise_snr": "30..5"}, "the lower end first. Received: noise_snr='30..5'"),
        ({"noise_snr": "5"}, "must be a range such as 5..30"),
        ({"room_seconds": "0..1"}, "room_seconds=0.0"),
        ({"codecs": "mp3,tape"}, "codecs='mp3,tape'"),
        ({"noise_probability": 1.5}, "noise_probability=1.5"),
        ({"volume_db": -1.0}, "volume_db=-1.0"),
        ({"pause_seconds": -1.0}, r"in \[0, 30\]. Received: pause_seconds=-1.0"),
        ({"pause_probability": 2.0}, "pause_probability=2.0"),
    ],
)
def test_names_what_it_refuses(settings, message):
    with pytest.raises(UserError, match=message):
        AugmentationConfig(**settings)
