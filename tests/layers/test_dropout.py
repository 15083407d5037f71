import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.dropout import Dropout, StochasticDepth


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_drops_the_rate_and_keeps_the_mean(rate, jit_compile):
    keras.utils.set_random_seed(0)
    dropout = tf.function(Dropout(rate), jit_compile=jit_compile, autograph=False)
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


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_layer_is_left_out_of_some_rows(jit_compile):
    keras.utils.set_random_seed(0)
    depth = tf.function(StochasticDepth(0.25), jit_compile=jit_compile, autograph=False)
    x, y = tf.random.normal([4000, 3, 2]), tf.random.normal([4000, 3, 2])
    out = depth(x, y, training=True).numpy()
    left_out = np.all(out == x, axis=(1, 2))
    assert np.mean(left_out) == pytest.approx(0.25, abs=0.03)
    scaled = (x + (y - x) / 0.75).numpy()
    np.testing.assert_allclose(out[~left_out], scaled[~left_out], rtol=1e-5, atol=1e-6)
    # Another call leaves it out of others.
    again = np.all(depth(x, y, training=True) == x, axis=(1, 2))
    assert np.mean(left_out & again) == pytest.approx(0.25**2, abs=0.03)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_no_layer_is_left_out(rate, training):
    x, y = tf.random.normal([3, 4]), tf.random.normal([3, 4])
    np.testing.assert_array_equal(StochasticDepth(rate)(x, y, training=training), y)


def test_a_layer_is_not_left_out_of_all():
    with pytest.raises(UserError, match=r"`rate` must be in \[0, 1\). Received: rate=1.0"):
        StochasticDepth(1.0)
