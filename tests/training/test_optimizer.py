import json
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.training.optimizer import make_optimizer, make_schedule
from int4_conformer.training.training_config import Optimizer, Schedule, TrainingConfig


def learning_rates(config):
    """Learning rates of the steps 0 ... config.steps."""
    schedule = make_schedule(config)
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


def reference_rate(name, step, steps, warmup):
    """In units of the highest rate."""
    if step < warmup:
        return 1 / warmup + (1 - 1 / warmup) * step / warmup
    half = max(warmup, steps // 2)
    return {
        "linear": 1 - 0.99 * (step - warmup) / (steps - warmup),
        "constant": 1.0,
        "transformer": np.sqrt(warmup / step),
        "tri_stage": 1.0 if step < half else 0.01 ** ((step - half) / (steps - half)),
    }[name]


@pytest.mark.parametrize("name", ["linear", "constant", "transformer", "tri_stage"])
@pytest.mark.parametrize(("steps", "warmup"), [(60, 20), (60, 45)])
def test_schedules(name, steps, warmup):
    config = TrainingConfig(steps=steps, warmup=warmup, learning_rate=0.5, schedule=name)
    expected = [0.5 * reference_rate(name, step, steps, warmup) for step in range(steps + 1)]
    np.testing.assert_allclose(learning_rates(config), expected, rtol=1e-5)


@pytest.mark.parametrize("name", get_args(Schedule))
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 500), (5, 0), (5, 500), (5, 4)])
def test_schedules_of_short_runs_are_finite(name, steps, warmup):
    rates = learning_rates(TrainingConfig(steps=steps, warmup=warmup, schedule=name))
    assert np.all(np.isfinite(rates))
    assert np.all(rates > 0)
    assert rates.max() == pytest.approx(2e-3)


@pytest.mark.parametrize("name", get_args(Schedule))
def test_a_schedule_survives_json(name):
    schedule = make_schedule(TrainingConfig(steps=60, schedule=name))
    config = json.loads(json.dumps(keras.optimizers.schedules.serialize(schedule)))
    again = keras.optimizers.schedules.deserialize(config)
    assert [float(again(step)) for step in (0, 30, 60)] == [
        float(schedule(step)) for step in (0, 30, 60)
    ]


KERAS = {
    "adamw": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.1, beta_2=0.98, epsilon=1e-9),
    "adafactor": lambda rate: keras.optimizers.Adafactor(rate, weight_decay=0.1),
    "lion": lambda rate: keras.optimizers.Lion(rate, weight_decay=0.1),
}


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_compiled_optimizers_are_those_of_keras(name):
    """With the schedule's rate at each step, by which the decay goes, too."""
    config = TrainingConfig(
        steps=6, warmup=3, learning_rate=0.1, weight_decay=0.1, optimizer=name, schedule="linear"
    )
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape).astype(np.float32) for shape in ([3, 4], [5], [2, 3, 4])]
    ours, theirs = ([keras.Variable(value) for value in values] for _ in range(2))
    optimizer, rates = make_optimizer(config), learning_rates(config)
    expected = KERAS[name](0.0)
    optimizer.build(ours)
    step = tf.function(
        lambda gradients: optimizer.apply(gradients, ours), jit_compile=True, autograph=False
    )
    for rate in rates[:6]:
        gradients = [tf.constant(rng.standard_normal(x.shape), tf.float32) for x in values]
        step(gradients)
        expected.learning_rate = rate
        expected.apply(gradients, theirs)
    assert optimizer.iterations.numpy() == 6
    for one, other, before in zip(ours, theirs, values, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        assert np.all(one.numpy() != before)


@pytest.mark.parametrize("name", get_args(Optimizer))
@pytest.mark.parametrize("jit_compile", [False, True])
def test_rows_and_columns_without_gradient_stay_finite(name, jit_compile):
    weight = keras.Variable(np.ones([4, 3], np.float32))
    optimizer = make_optimizer(TrainingConfig(steps=9, weight_decay=0.0, optimizer=name))
    optimizer.build([weight])
    gradient = tf.constant([[0.0, 0.0, 0.0]] + [[0.0, 1.0, 2.0]] * 3)
    step = tf.function(
        lambda: optimizer.apply([gradient], [weight]), jit_compile=jit_compile, autograph=False
    )
    for _ in range(3):
        step()
    changed = weight.numpy() != 1.0
    np.testing.assert_array_equal(changed, gradient.numpy() != 0)
    assert np.all(np.isfinite(weight))


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_an_optimizer_survives_json(name):
    optimizer = make_optimizer(TrainingConfig(steps=9, optimizer=name))
    config = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    again = keras.optimizers.deserialize(config)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
