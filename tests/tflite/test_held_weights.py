import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.quant.numerics.weight import quantize_weight
from int4_conformer.quant.spec.quant_config import QuantConfig
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.held_weights import HeldWeights, other_places
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.tensor_names import name_constants
from tests.support import dense_models
from tests.tflite.schemes import static_weight

RNG = np.random.default_rng(0)


def test_float_weights_are_read_as_they_were():
    dense = dense_models.layer("float", width=8, units=4)
    model, _ = dense_models.traced(dense)
    kernel = dense.kernel.numpy()
    weights = {
        "up/kernel": 2 * kernel,
        "up/unused": RNG.standard_normal([2, 3]).astype(np.float32),
        "norm/gamma": np.ones(4, np.float32),
        "norm/beta": np.ones(8, np.float32),
    }
    name_constants(model, weights)
    places = other_places(model, weights)
    assert places["up/kernel"] == {"axis": 1, "exponent": -1}
    assert places["norm/gamma"] == {"value": 1.0}
    held = HeldWeights(model, places)
    for path, weight in weights.items():
        np.testing.assert_array_equal(held.weight(path, weight.shape), weight, err_msg=path)
        assert held.matrix(path) is None
    assert held.weight("absent", [2]) is None
    assert held.weight("up/kernel", [3]) is None


def test_a_weight_in_several_constants_is_read_as_it_was():
    kernel = RNG.standard_normal([5, 4]).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, 4])])
    def taps(x):
        return tf.tanh(x[:2] * kernel[:2]) + tf.tanh(x[2:4] * kernel[2:4]) + x[4:] * kernel[4:]

    model = dense_models.convert(taps)
    weights = {"kernel": kernel, "other": kernel + 1}
    name_constants(model, weights)
    places = other_places(model, weights)
    assert places["kernel"] == {"parts": 3}
    assert list(places["other"]) == ["values"]
    held = HeldWeights(model, places)
    for path, weight in weights.items():
        np.testing.assert_array_equal(held.weight(path, weight.shape), weight, err_msg=path)
    assert held.weight("kernel", [6, 4]) is None
    # One constant of them was taken away.
    assert HeldWeights(model, {"kernel": {"parts": 4}}).weight("kernel", [5, 4]) is None


def test_the_integers_of_a_static_bias_are_no_weight():
    weight = static_weight(bits=8, width=12, units=10, seed=0)
    model = dense_models.float_product(weight, np.arange(1, 11, dtype=np.float32))
    name_constants(model, {"dense/bias": np.arange(1, 11, dtype=np.float32)})
    held = HeldWeights(flatbuffer.load(pack(model, [weight])), {})
    assert held.matrix("kernel").shape == (10, 12)
    assert held.matrix("dense/bias") is None
    assert held.weight("dense/bias", [10]) is None


@pytest.mark.parametrize("scheme", ["w2c_a8d", "w3c_a8d", "w4c_a8d", "w4b32_a8d", "w8c_a8d"])
def test_integers_are_the_same_when_values_are_rounded_again(scheme):
    dense = dense_models.layer(scheme, width=32, units=200)
    kernel = dense.kernel.numpy()
    # An output without a weight.
    kernel[:, 0] = 0
    dense.kernel.assign(kernel)
    model, (weight,) = dense_models.traced(dense)
    held = HeldWeights(flatbuffer.load(pack(model, [weight])), {})
    again = quantize_weight(held.matrix(weight.name).T, QuantConfig.from_name(scheme))
    np.testing.assert_array_equal(again.codes.numpy().T, weight.codes)
    np.testing.assert_array_equal(again.scale.numpy().T.reshape(weight.scale.shape), weight.scale)
    assert held.weight(weight.name, [32, 200]) is None
