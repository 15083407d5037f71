import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers.layer_norm import LayerNorm


def layers(dim, **settings):
    rng = np.random.default_rng(dim)
    weights = [rng.standard_normal(dim).astype(np.float32) for _ in range(2)]
    ours, of_keras = (
        LayerNorm(**settings),
        keras.layers.LayerNormalization(epsilon=1e-5, **settings),
    )
    for layer in (ours, of_keras):
        layer.build([None, None, dim])
        layer.set_weights(weights)
    return ours, of_keras, weights


@pytest.mark.parametrize("shape", [(2, 3, 8), (1, 1, 5), (4, 1)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_it_is_that_of_keras(shape, offset):
    ours, of_keras, (gamma, beta) = layers(shape[-1])
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) + np.float32(offset)
    exact = x.astype(np.float64)
    exact -= exact.mean(axis=-1, keepdims=True)
    exact /= np.sqrt(np.square(exact).mean(axis=-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours(x), exact * gamma + beta, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours(x), of_keras(x), rtol=1e-3, atol=1e-3)


def test_gradients():
    ours, of_keras, _ = layers(6)
    x = tf.constant(np.random.default_rng(0).standard_normal([2, 3, 6]), tf.float32)
    found = []
    for layer in (ours, of_keras):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.square(layer(x)))
        found.append(tape.gradient(y, [x, *layer.trainable_weights]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_sums_are_in_float32_under_every_policy():
    x = tf.cast(tf.range(512) % 7 + 300, tf.bfloat16)[None]
    ours, *_ = layers(512, dtype="bfloat16")
    ours.set_weights([np.ones(512), np.zeros(512)])
    y = ours(x)
    assert y.dtype == tf.bfloat16
    exact = np.asarray(x, np.float64)
    exact = (exact - exact.mean()) / exact.std()
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, atol=0.02)


def test_it_is_saved_as_keras_saves_layers(tmp_path):
    model = keras.Sequential([keras.Input([4]), LayerNorm(name="norm")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.get_layer("norm"), LayerNorm)
    assert loaded.get_layer("norm").epsilon == 1e-5
