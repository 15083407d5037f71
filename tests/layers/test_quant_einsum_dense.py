import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers import QuantEinsumDense
from tests.quant import reference
from tests.support import deployments

X = np.random.default_rng(0).standard_normal([2, 3, 8]).astype(np.float32)
ARGUMENTS = {"equation": "btd,dhk->bthk", "output_shape": [None, 4, 6], "bias_axes": "hk"}


def built(layer):
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    return layer


@pytest.mark.parametrize(
    "arguments",
    [
        ARGUMENTS,
        ARGUMENTS | {"activation": "silu", "bias_axes": None},
        {"equation": "...d,df->...f", "output_shape": 5, "bias_axes": "f"},
        {"equation": "btd,df->fbt", "output_shape": [2, 3]},
        {"equation": "ebd,edf->ebf", "output_shape": [None, 5], "bias_axes": "f"},
        {"equation": "ebd,edf->ebf", "output_shape": [3, 5], "bias_axes": "ef"},
    ],
    ids=str,
)
def test_in_float_it_is_the_layer_of_keras(arguments):
    layer = built(QuantEinsumDense(**arguments))
    expected = built(keras.layers.EinsumDense(**arguments))
    described = [(weight.name, weight.shape) for weight in layer.weights]
    assert described == [(weight.name, weight.shape) for weight in expected.weights]
    np.testing.assert_allclose(layer(X), expected(X), rtol=1e-5, atol=1e-5)


def test_it_multiplies_in_integers():
    layer = built(QuantEinsumDense(quant="w4a8", activation="relu", **ARGUMENTS))
    kernel, bias = layer.get_weights()
    product = reference.dot(X.reshape(-1, 8), kernel.reshape(8, 24), 4, "int8_asymmetric")
    expected = np.maximum(product.reshape(2, 3, 4, 6) + bias, 0)
    np.testing.assert_array_equal(layer(X), expected)


def test_a_deployed_layer_computes_the_same_in_its_integers():
    layer = built(QuantEinsumDense(quant="w4a8", **ARGUMENTS))
    expected, kernel = layer(X).numpy(), layer.kernel.numpy()
    graph, deployment = deployments.traced(layer, "integers", tf.TensorSpec(X.shape))
    deployments.assert_same_integers(graph(X), expected)
    (matrix,) = deployment.matrices.values()
    codes, scale = reference.quantize(kernel.reshape(8, 24), 4, axes=(0,))
    np.testing.assert_array_equal(matrix.tensor.codes, codes)
    np.testing.assert_array_equal(matrix.tensor.scale, scale)
    layer.kernel.assign(0 * kernel)
    deployments.assert_same_integers(graph(X), expected)


def test_groups_of_matrices_are_deployed_each():
    layer = built(QuantEinsumDense("btd,tdf->btf", [3, 4], quant="w4a8"))
    expected, kernel = layer(X).numpy(), layer.kernel.numpy()
    graph, deployment = deployments.traced(layer, "integers", tf.TensorSpec(X.shape))
    deployments.assert_same_integers(graph(X), expected)
    for index, matrix in enumerate(deployment.matrices.values()):
        assert matrix.name == f"{layer.kernel.path}[{index}]"
        codes, _ = reference.quantize(kernel[index], 4, axes=(0,))
        np.testing.assert_array_equal(matrix.tensor.codes, codes)
    assert len(deployment.matrices) == 3


def test_an_unknown_recipe():
    with pytest.raises(UserError, match="Unknown recipe 'int4'; choose one of"):
        QuantEinsumDense(quant="int4", **ARGUMENTS)


def test_config_round_trip():
    layer = QuantEinsumDense(quant="w4a4sym", activation="silu", name="heads", **ARGUMENTS)
    clone = QuantEinsumDense.from_config(json.loads(json.dumps(layer.get_config())))
    assert clone.get_config() == layer.get_config()
    assert clone.quant == layer.quant
    assert (clone.equation, clone.bias_axes, clone.name) == (layer.equation, "hk", "heads")


def test_a_saved_model_computes_the_same(tmp_path):
    model = keras.Sequential([keras.Input([3, 8]), QuantEinsumDense(quant="w4a8", **ARGUMENTS)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].quant.weight_bits == 4
    np.testing.assert_array_equal(loaded(X), model(X))
