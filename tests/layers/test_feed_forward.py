import numpy as np
import pytest

from int4_conformer.layers import FeedForward
from int4_conformer.quant import QuantConfig, Recipe

X = np.random.default_rng(0).standard_normal([2, 3, 8]).astype(np.float32)


def normalized(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def silu(x):
    return x / (1 + np.exp(-x))


def test_it_is_norm_expansion_swish_and_projection():
    layer = FeedForward(8, 12, dropout=0.5)
    y = layer(X)
    (up, _), (down, _) = layer.up.get_weights(), layer.down.get_weights()
    assert (up.shape, down.shape) == ((8, 12), (12, 8))
    np.testing.assert_allclose(y, silu(normalized(X) @ up) @ down, rtol=1e-4, atol=1e-5)


def test_each_matmul_has_its_own_rule():
    w4, w8 = QuantConfig(weight_bits=4), QuantConfig(weight_bits=8)
    recipe = Recipe(name="test", rules=(("ffn/up", w4), ("ffn/down", w8)))
    layer = FeedForward(8, 12, quant=recipe.at("ffn"))
    assert (layer.up.quant, layer.down.quant) == (w4, w8)


@pytest.mark.parametrize("training", [False, True])
def test_dropout_is_for_training(training):
    layer = FeedForward(8, 12, dropout=0.5)
    first, second = layer(X, training=training), layer(X, training=training)
    assert np.array_equal(first, second) != training
