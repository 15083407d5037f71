import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.numerics.pack import pack_codes
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.verification import verify
from tests.quant import reference
from tests.support import dense_models
from tests.tflite import kernels
from tests.tflite.schemes import activations, static_weight

MATMUL = ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]


def names(content):
    return [operator.name for operator in flatbuffer.operators(flatbuffer.load(content))]


def computed(weight, x, relu=False):
    """The static product, by the model of XNNPACK's kernels."""
    ends = weight.static
    codes = kernels.quantize(x, ends.input_scale, ends.input_zero_point)
    codes = kernels.requantize(kernels.static_sums(codes, weight), weight, relu)
    return kernels.dequantize(codes, ends.output_scale, ends.output_zero_point)


def two_layers(width=12, units=12):
    first = static_weight(4, width, units, seed=1)
    second = static_weight(4, width, units, seed=2)
    return dataclasses.replace(first, name="first"), dataclasses.replace(second, name="second")


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_bias_is_a_constant_of_integers(bits):
    bias = np.linspace(-1, 1, 10, dtype=np.float32)
    weight = static_weight(bits, 12, 10, seed=0, bias=bias)
    content = pack(dense_models.float_product(weight, bias), [weight])
    verify(content, [weight])
    assert names(content) == MATMUL
    constants = {c.dtype: c for c in flatbuffer.constants(flatbuffer.load(content))}
    assert set(constants) == {f"int{bits}", "int32"}
    np.testing.assert_array_equal(constants["int32"].values(), weight.bias_codes(bias))
    assert np.unique(constants["int32"].values()).size > 5
    np.testing.assert_array_equal(constants["int32"].scale, weight.accumulator_scale)
    assert bias.tobytes() not in content
    if bits < 8:
        assert pack_codes(weight.codes, bits).tobytes() in content


def test_matmuls_of_one_input():
    first, second = two_layers()
    other = dataclasses.replace(second, static=first.static)

    @tf.function(input_signature=[tf.TensorSpec([None, 12])], autograph=False)
    def products(x):
        return tf.matmul(x, first.dequantized().T) - tf.matmul(x, second.dequantized().T)

    x = activations(5, 12, seed=0)
    for weights, quantized in (((first, other), 1), ((first, second), 2)):
        content = pack(dense_models.convert(products), weights)
        verify(content, weights)
        assert names(content).count("QUANTIZE") == quantized
        expected = computed(weights[0], x) - computed(weights[1], x)
        np.testing.assert_array_equal(dense_models.run(content, x), expected)


def test_one_matmul_after_another():
    first, second = two_layers()

    @tf.function(input_signature=[tf.TensorSpec([None, 12])], autograph=False)
    def products(x):
        return tf.matmul(tf.nn.relu(tf.matmul(x, first.dequantized().T)), second.dequantized().T)

    content = pack(dense_models.convert(products), [first, second])
    verify(content, [first, second])
    assert names(content) == 2 * MATMUL
    x = activations(5, 12, seed=0)
    expected = computed(second, computed(first, x, relu=True))
    np.testing.assert_array_equal(dense_models.run(content, x), expected)


def test_static_beside_dynamic_activations_with_rows_along_several_axes():
    first, second = two_layers()
    second = dataclasses.replace(second, static=None, activation="int8_asymmetric")

    @tf.function(input_signature=[tf.TensorSpec([2, 3, 12])], autograph=False)
    def products(x):
        rows = tf.matmul(tf.reshape(x, [-1, 12]), first.dequantized().T)
        return tf.matmul(rows, second.dequantized().T)

    content = pack(dense_models.convert(products), [first, second])
    verify(content, [first, second])
    assert sorted(names(content)) == sorted([*MATMUL, "FULLY_CONNECTED"])
    x = activations(6, 12, seed=0)
    codes, scale, zero_point = reference.quantize_rows(computed(first, x), "int8_asymmetric")
    sums = (codes.astype(int) - zero_point) @ second.codes.T
    np.testing.assert_array_equal(
        dense_models.run(content, x.reshape(2, 3, 12)), sums.astype("f4") * scale * second.scale
    )


def test_a_matmul_in_a_loop():
    weight = static_weight(4, 12, 12, seed=0)

    @tf.function(input_signature=[tf.TensorSpec([None, 12])], autograph=False)
    def product(x):
        return tf.while_loop(
            lambda step, _: step < 3,
            lambda step, y: (step + 1, tf.matmul(y, weight.dequantized().T)),
            (0, x),
        )[1]

    content = pack(dense_models.convert(product), [weight])
    verify(content, [weight])
    x = activations(5, 12, seed=0)
    outputs = dense_models.run(content, x)
    for _ in range(3):
        x = computed(weight, x)
    np.testing.assert_array_equal(outputs, x)


def test_what_is_added_to_the_output_stays_behind_dequantize():
    weight = static_weight(4, 12, 10, seed=0)

    @tf.function(input_signature=[tf.TensorSpec([None, 12])], autograph=False)
    def product(x):
        return tf.matmul(x, weight.dequantized().T) + x[:, :1]

    content = pack(dense_models.convert(product), [weight])
    verify(content, [weight])
    assert [name for name in names(content) if name != "STRIDED_SLICE"] == [*MATMUL, "ADD"]
    x = activations(5, 12, seed=0)
    np.testing.assert_array_equal(dense_models.run(content, x), computed(weight, x) + x[:, :1])


def test_other_fused_functions():
    weight = static_weight(4, 12, 10, seed=0)
    with pytest.raises(UserError, match="kernel has static activations and the fused function"):
        pack(dense_models.float_product(weight, function=tf.nn.relu6), [weight])
