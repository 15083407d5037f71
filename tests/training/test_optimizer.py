import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.models.training_step import clip
from int4_conformer.training.optimizer import make_optimizer
from int4_conformer.training.training_config import TrainingConfig


def learning_rates(config):
    """Learning rates of the steps 0 ... config.steps."""
    schedule = make_optimizer(config)._learning_rate
    return np.array([float(schedule(step)) for step in range(config.steps + 1)])


def test_the_learning_rate_warms_up_linearly_and_falls_by_a_cosine():
    config = TrainingConfig(steps=60, warmup=20, learning_rate=0.5)
    rates = learning_rates(config)
    assert rates[0] > 0
    np.testing.assert_allclose(np.diff(rates[:21]), (0.5 - rates[0]) / 20, rtol=1e-4)
    phase = np.arange(41) / 40
    expected = 0.5 * (0.01 + 0.99 * (1 + np.cos(np.pi * phase)) / 2)
    np.testing.assert_allclose(rates[20:], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("steps", "warmup", "peak"), [(1, 0, 0), (1, 500, 0), (5, 0, 0), (5, 500, 4), (5, 4, 4)]
)
def test_short_runs_reach_the_highest_rate(steps, warmup, peak):
    rates = learning_rates(TrainingConfig(steps=steps, warmup=warmup, learning_rate=0.5))
    assert np.all(np.isfinite(rates))
    assert rates.argmax() == peak
    assert rates[peak] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.005)


def test_weights_decay_apart_from_their_gradient():
    config = TrainingConfig(steps=1, warmup=0, learning_rate=0.5, weight_decay=0.1)
    weight = keras.Variable([2.0])
    make_optimizer(config).apply([tf.zeros([1])], [weight])
    np.testing.assert_allclose(weight, [2.0 - 0.5 * 0.1 * 2.0])


def test_clipping_leaves_small_gradients_alone():
    gradients = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
    for one, other in zip(clip(gradients, 5.0), gradients, strict=True):
        np.testing.assert_allclose(one, other)


def test_clipping_scales_all_gradients_to_their_common_norm():
    clipped = clip([tf.constant([3.0, 0.0]), tf.constant([[4.0]])], 1.0)
    np.testing.assert_allclose(clipped[0], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped[1], [[0.8]], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_costs_the_step(bad):
    for gradient in clip([tf.constant([3.0, bad]), tf.constant([[4.0]])], 5.0):
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))
