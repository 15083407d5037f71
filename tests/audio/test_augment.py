import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.audio.augment import SpecAugmentConfig, spec_augment

BATCH, TIME, BINS = 4, 100, 40
FEATURES = np.random.default_rng(0).uniform(1, 2, [BATCH, TIME, BINS]).astype(np.float32)
LENGTHS = np.int32([100, 50, 80, 0])
FREQUENCY = SpecAugmentConfig(frequency_masks=1, frequency_width=10, time_masks=0)
TIMES = SpecAugmentConfig(frequency_masks=0, time_masks=1, time_fraction=0.2)


def masks(config, seeds=range(60)):
    """What is hidden, bool [seeds, batch, time, bins]."""
    augment = tf.function(
        lambda seed: spec_augment(FEATURES, LENGTHS, seed, config), autograph=False
    )
    augmented = np.stack([augment(tf.constant([seed, 7])) for seed in seeds])
    assert np.all((augmented == 0) | (augmented == FEATURES))
    return augmented == 0


def stretches(hidden):
    """Number of runs of True in a vector."""
    return np.count_nonzero(np.diff(hidden.astype(int), prepend=0) == 1)


def test_a_frequency_mask_is_a_band_over_all_frames():
    hidden = masks(FREQUENCY)
    bands = hidden[:, :, 0]
    np.testing.assert_array_equal(hidden, np.broadcast_to(bands[:, :, None], hidden.shape))
    widths = bands.sum(axis=-1)
    np.testing.assert_array_equal(np.unique(widths), np.arange(11))
    assert all(stretches(row) <= 1 for row in bands.reshape(-1, BINS))
    # Any bin can be hidden, and the rows of a batch differ.
    assert np.all(bands.any(axis=(0, 1)))
    assert np.any(bands[:, 0] != bands[:, 1])


def test_a_time_mask_is_a_stretch_of_the_real_frames():
    hidden = masks(TIMES)
    frames = hidden[..., 0]
    np.testing.assert_array_equal(hidden, np.broadcast_to(frames[..., None], hidden.shape))
    for row, length in enumerate(LENGTHS):
        assert not np.any(frames[:, row, length:])
        assert all(stretches(mask) <= 1 for mask in frames[:, row])
        widths = frames[:, row].sum(axis=-1)
        assert widths.max() <= 0.2 * length
        assert widths.max() >= 0.16 * length


@pytest.mark.parametrize(("axis", "config"), [(-1, FREQUENCY), (-2, TIMES)])
def test_masks_add_up(axis, config):
    number = "frequency_masks" if config is FREQUENCY else "time_masks"
    hidden = masks(dataclasses.replace(config, **{number: 3}))
    first = np.take(hidden, 0, axis={-1: -2, -2: -1}[axis])[:, 0]
    runs = [stretches(row) for row in first]
    assert max(runs) in (2, 3)


def test_the_same_seed_masks_alike():
    config = SpecAugmentConfig()
    hidden = masks(config, seeds=[3, 3, 4])
    np.testing.assert_array_equal(hidden[0], hidden[1])
    assert np.any(hidden[0] != hidden[2])


def test_it_compiles_under_xla():
    config = SpecAugmentConfig()
    compiled = tf.function(spec_augment, jit_compile=True, autograph=False)
    # XLA draws other numbers of a seed, but the same ones each time.
    first, again = (compiled(FEATURES, LENGTHS, tf.constant([1, 2]), config) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    hidden = first.numpy() == 0
    assert np.all(hidden | (first == FEATURES))
    assert 0 < hidden.mean() < 0.9
    np.testing.assert_array_equal(hidden[3], np.broadcast_to(hidden[3, 0], [TIME, BINS]))


def test_no_masks_change_nothing():
    config = SpecAugmentConfig(frequency_masks=0, time_masks=0)
    np.testing.assert_array_equal(
        spec_augment(FEATURES, LENGTHS, tf.constant([1, 2]), config), FEATURES
    )
