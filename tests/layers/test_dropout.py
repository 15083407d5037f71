import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers import Dropout


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_drops_the_rate_and_keeps_the_mean(rate, jit_compile):
    keras.utils.set_random_seed(0)
    dropout = tf.function(Dropout(rate), jit_compile=jit_compile)
    x = tf.ones([1001, 203])
    y = dropout(x, training=True).numpy()
    assert np.mean(y == 0) == pytest.approx(rate, abs=0.01)
    assert y.mean() == pytest.approx(1, abs=0.02)
    kept = y[y != 0]
    np.testing.assert_array_equal(kept, kept[0])
    # Another call is another mask, in which neighbours are independent.
    again = dropout(x, training=True).numpy()
    assert np.mean((y == 0) & (again == 0)) == pytest.approx(rate**2, abs=0.01)
    assert np.mean((y[:, 1:] == 0) & (y[:, :-1] == 0)) == pytest.approx(rate**2, abs=0.01)


def test_the_gradient_is_dropped_alike():
    dropout, x = Dropout(0.3), tf.random.normal([40, 50])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = dropout(x, training=True)
    gradient = tape.gradient(y, x)
    np.testing.assert_allclose(y, gradient * x, rtol=1e-6)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped(rate, training):
    x = tf.random.normal([3, 4])
    np.testing.assert_array_equal(Dropout(rate)(x, training=training), x)
