import keras
import numpy as np
import pytest
import tensorflow as tf

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
