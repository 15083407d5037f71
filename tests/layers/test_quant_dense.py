import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantDense
from int4_conformer.layers.steppable import Steppable
from int4_conformer.quant import QuantConfig, Recipe
from tests.quant import reference
from tests.support import deployments, streaming

X = np.random.default_rng(0).standard_normal([2, 3, 8]).astype(np.float32)


def built(quant, **options):
    """A layer with a kernel and a bias that are not zero."""
    layer = QuantDense(5, quant=quant, **options)
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    return layer


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "silu"}], ids=str)
def test_in_float_it_is_the_dense_layer_of_keras(options):
    layer, expected = built(None, **options), keras.layers.Dense(5, **options)
    expected.build(X.shape)
    described = [(weight.name, weight.shape, weight.dtype) for weight in layer.weights]
    assert described == [(weight.name, weight.shape, weight.dtype) for weight in expected.weights]
    expected.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(X), expected(X), rtol=1e-5, atol=1e-6)


def test_it_multiplies_in_integers():
    layer = built("w4a8", activation="relu")
    kernel, bias = layer.get_weights()
    product = reference.dot(X.reshape(-1, 8), kernel, 4, "int8_asymmetric") + bias
    np.testing.assert_array_equal(layer(X), np.maximum(product, 0).reshape(2, 3, 5))


def test_float_activations_meet_the_kernel_on_its_grid():
    layer = built("w4")
    kernel, bias = layer.get_weights()
    on_grid = reference.on_grid(kernel, 4, axes=(0,))
    np.testing.assert_allclose(layer(X), X @ on_grid + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("quant", ["w4", "w4a4sym", "w4a8", "w4a8sym", "w8a8"])
def test_a_deployed_layer_computes_the_same_in_its_integers(quant):
    layer = built(quant)
    expected, kernel = layer(X).numpy(), layer.kernel.numpy()
    graph, deployment = deployments.traced(layer, "integers", tf.TensorSpec(X.shape))
    deployments.assert_same_integers(graph(X), expected)
    assert deployments.matrices(graph) == [("int8", (8, 5))]
    (matrix,) = deployment.matrices.values()
    codes, scale = reference.quantize(kernel, layer.quant.weight_bits, axes=(0,))
    np.testing.assert_array_equal(matrix.tensor.codes, codes)
    np.testing.assert_array_equal(matrix.tensor.scale, scale)
    assert matrix.name == layer.kernel.path
    layer.kernel.assign(0 * kernel)
    deployments.assert_same_integers(graph(X), expected)


def test_a_float_layer_is_not_deployed():
    layer = built(None)
    graph, deployment = deployments.traced(layer, "integers", tf.TensorSpec(X.shape))
    assert not deployment.matrices
    np.testing.assert_array_equal(graph(X), layer(X))
    assert deployments.matrices(graph) == [("float32", (8, 5))]


def test_the_recipe_at_its_path_says_how():
    rules = (("a/up", QuantConfig(weight_bits=4)), (".*", QuantConfig()))
    recipe = Recipe(name="test", rules=rules).at("a")
    assert QuantDense(5, quant=recipe.at("up")).quant.weight_bits == 4
    assert QuantDense(5, quant=recipe.at("down")).quant.weight_bits is None


def test_an_unknown_recipe():
    with pytest.raises(UserError, match="Unknown recipe 'int4'; choose one of"):
        QuantDense(5, quant="int4")


def test_config_round_trip():
    layer = QuantDense(
        5, "silu", use_bias=False, quant="w6a8", kernel_initializer="he_normal", name="up"
    )
    config = json.loads(json.dumps(layer.get_config()))
    clone = QuantDense.from_config(config)
    assert clone.get_config() == layer.get_config()
    assert (clone.units, clone.use_bias, clone.name) == (5, False, "up")
    assert clone.quant == layer.quant == Recipe.preset("w6a8").config()
    assert clone.activation is keras.activations.silu
    assert isinstance(clone.kernel_initializer, keras.initializers.HeNormal)


def test_a_saved_model_computes_the_same(tmp_path):
    model = keras.Sequential(
        [keras.Input([8]), QuantDense(16, "relu", quant="w4a8"), QuantDense(5, quant="w4")]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [layer.quant.weight_bits for layer in loaded.layers] == [4, 4]
    x = X.reshape(-1, 8)
    assert model.output_shape == (None, 5)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_keras_trains_it():
    model = keras.Sequential([QuantDense(16, "silu", quant="w4a8"), QuantDense(1, quant="w4a8")])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    x = np.random.default_rng(0).standard_normal([256, 8]).astype(np.float32)
    losses = model.fit(x, x[:, :1] * x[:, 1:2], epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


class FrameByFrame(Steppable, QuantDense):
    """As a layer that streams."""

    def initial_state(self, batch):
        return {}

    def advance(self, x, padding_mask, state, training):
        return QuantDense.call(self, x, training), state


@pytest.mark.parametrize("scheme", ["w4c_a8d", "w4c_a8dsym", "w4c_a4dsym"])
def test_segments_have_the_codes_of_the_whole(scheme):
    layer, x = FrameByFrame(5, quant=scheme), streaming.noise([3, 48, 32])
    layer.build(x.shape)
    different, total = streaming.code_differences(layer, x, time=48, size=8)
    assert (different, total) == (0, x.size)
