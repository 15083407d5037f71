import dataclasses

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from int4_conformer.errors import UserError
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.deployed_weight import DeployedWeight
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.verification import verify
from tests.quant import reference
from tests.support import dense_models
from tests.tflite import kernels
from tests.tflite.schemes import SHAPES, activations, blockwise_weight

BITS = {"w2a8": 2, "w3c_a8d": 3, "w4a8": 4, "w6a8": 6, "w8a8": 8, "w2c_a8dsym": 2, "w4a8sym": 4}
SCHEMES = {
    recipe: "int8_symmetric" if recipe.endswith("sym") else "int8_asymmetric" for recipe in BITS
}
# The type that holds codes of so many bits.
STORED = {2: 2, 3: 4, 4: 4, 6: 8, 8: 8}


@pytest.mark.parametrize("recipe", SCHEMES)
@SHAPES
@hypothesis.given(
    width=strategies.integers(1, 400),
    units=strategies.integers(1, 100),
    rows=strategies.integers(1, 40),
    seed=strategies.integers(0, 1000),
)
def test_the_file_computes_the_integers_of_the_layer(recipe, width, units, rows, seed):
    dense = dense_models.layer(recipe, width, units, seed)
    x = activations(rows, width, seed)
    delegate = "none" if recipe.endswith("sym") else "xnnpack"
    outputs = dense_models.run(dense_models.packed(dense), x, delegate)

    expected = dense(x).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())

    # The sums of products of codes, recovered by dividing the scales out again.
    kernel = dense.kernel.numpy()
    _, act_scale, _ = reference.quantize_rows(x, SCHEMES[recipe])
    _, weight_scale = reference.quantize(kernel, BITS[recipe], axes=(0,))
    scale = act_scale.astype(np.float64) * weight_scale
    product = reference.dot(x, kernel, BITS[recipe], SCHEMES[recipe])
    found, expected = np.rint(outputs / scale), np.rint(product / scale)
    if delegate == "none":
        # These kernels multiply by the inverse of a row's scale, for which a code may be the next
        # one where the quotient lies within its rounding error of a half.
        codes = np.abs(np.divide(x, act_scale, where=act_scale > 0, out=np.zeros_like(x)))
        certain = (np.abs(codes % 1 - 0.5) > 1e-4).all(axis=1)
        found, expected = found[certain], expected[certain]
    np.testing.assert_array_equal(found, expected)
    if delegate == "xnnpack":
        # (accumulator * activation scale) * weight scale in float32, to the bit.
        np.testing.assert_array_equal(outputs, product)


@pytest.mark.parametrize("width", [1, 5, 6, 7, 8])
@pytest.mark.parametrize("recipe", ["w2a8", "w3c_a8d", "w4a8", "w8a8"])
def test_rows_of_no_whole_bytes_are_padded_with_zeros(recipe, width):
    dense = dense_models.layer(recipe, width, 3)
    x = activations(4, width, seed=0)
    content = dense_models.packed(dense)
    product = reference.dot(x, dense.kernel.numpy(), BITS[recipe], "int8_asymmetric")
    np.testing.assert_array_equal(dense_models.run(content, x), product)
    codes, _ = reference.quantize(dense.kernel.numpy(), BITS[recipe], axes=(0,))
    (kernel,) = [c for c in flatbuffer.constants(flatbuffer.load(content)) if c.name == "kernel"]
    padding = np.zeros([3, -width % (8 // STORED[BITS[recipe]])], np.int8)
    np.testing.assert_array_equal(kernel.values(), np.concatenate([codes.T, padding], axis=1))


def test_a_width_that_is_odd_in_the_graph():
    _, (weight,) = dense_models.traced(dense_models.layer("w6a8", 7, 3))
    for bits, multiple in ((4, 2), (2, 4)):
        reason = f"kernel has input width 7; INT{bits} filters need a multiple of {multiple}"
        with pytest.raises(UserError, match=reason):
            pack(dense_models.float_product(weight), [dataclasses.replace(weight, bits=bits)])


@pytest.mark.parametrize(
    ("recipe", "dtype", "nbytes"),
    [("w2a8", "int2", 30), ("w3c_a8d", "int4", 60), ("w4a8", "int4", 60), ("w6a8", "int8", 120)],
)
def test_the_codes_are_handed_over_as_they_are(recipe, dtype, nbytes):
    dense = dense_models.layer(recipe, 12, 10)
    content = dense_models.packed(dense)
    (constant,) = [c for c in flatbuffer.constants(flatbuffer.load(content)) if c.size == 120]
    codes, scale = reference.quantize(dense.kernel.numpy(), BITS[recipe], axes=(0,))
    assert (constant.name, constant.dtype, constant.nbytes) == ("kernel", dtype, nbytes)
    np.testing.assert_array_equal(constant.values(), codes.T)
    np.testing.assert_array_equal(constant.scale, scale[0])
    np.testing.assert_array_equal(constant.zero_point, np.zeros(10))
    assert constant.quantized_dimension == 0
    assert [op.name for op in flatbuffer.operators(flatbuffer.load(content))] == ["FULLY_CONNECTED"]


@pytest.mark.parametrize("recipe", ["w2c", "w4"])
def test_float_activations_meet_the_dequantized_weight(recipe):
    dense = dense_models.layer(recipe, 12, 10)
    content = dense_models.packed(dense)
    names = [op.name for op in flatbuffer.operators(flatbuffer.load(content))]
    assert names == ["DEQUANTIZE", "FULLY_CONNECTED"]
    x = activations(5, 12, seed=1)
    np.testing.assert_allclose(dense_models.run(content, x), dense(x), rtol=1e-5, atol=1e-5)


def test_a_weight_that_is_not_in_the_model():
    model, (weight,) = dense_models.traced(dense_models.layer("w4a8", 12, 10))
    other = DeployedWeight(
        name="other/kernel",
        codes=-weight.codes,
        scale=weight.scale,
        bits=4,
        activation="int8_asymmetric",
    )
    with pytest.raises(UserError, match=r"lacks 1 of 2 quantized weights, such as other/kernel"):
        pack(model, [weight, other])


def test_a_scale_that_differs_by_one_bit_is_another_weight():
    model, (weight,) = dense_models.traced(dense_models.layer("w4a8", 12, 10))
    scale = weight.scale.copy()
    scale[3] = np.nextafter(scale[3], np.float32(1))
    other = DeployedWeight(
        name="kernel", codes=weight.codes, scale=scale, bits=4, activation="int8_asymmetric"
    )
    with pytest.raises(UserError, match="lacks 1 of 1 quantized weights"):
        pack(model, [other])


def twins():
    """Two layers of equal weights, and the parsed file of their float products."""
    _, (weight,) = dense_models.traced(dense_models.layer("w4a8", 12, 10))
    kernel = weight.dequantized().T

    @tf.function(
        input_signature=[tf.TensorSpec([None, 12]), tf.TensorSpec([None, 12])], autograph=False
    )
    def products(x, y):
        return tf.matmul(x, tf.identity(kernel)), tf.matmul(y, tf.identity(kernel))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([products.get_concrete_function()])
    weights = [dataclasses.replace(weight, name=name) for name in ("first/kernel", "second/kernel")]
    return flatbuffer.load(converter.convert()), weights


def test_weights_of_equal_values():
    model, weights = twins()
    content = pack(model, weights)
    verify(content, weights)
    packed = flatbuffer.load(content)
    assert [op.name for op in flatbuffer.operators(packed)] == 2 * ["FULLY_CONNECTED"]
    for constant in flatbuffer.constants(packed):
        assert constant.dtype == "int4"
        np.testing.assert_array_equal(constant.values(), weights[0].codes)


def test_weights_of_equal_values_that_meet_different_activations():
    model, (first, second) = twins()
    second = dataclasses.replace(second, activation="float")
    with pytest.raises(UserError, match="first/kernel and second/kernel hold equal values but"):
        pack(model, [first, second])


def test_weights_of_equal_values_in_and_without_blocks():
    blocks = blockwise_weight(block=32, blocks=1, units=4, seed=0)
    channels = dataclasses.replace(
        blocks, name="other", block=None, scale=np.ascontiguousarray(blocks.scale[:, 0])
    )
    with pytest.raises(UserError, match="kernel and other hold equal values but differ in bits, b"):
        pack(dense_models.float_product(blocks), [blocks, channels])


@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_a_table_in_blocks_that_is_the_output_layer_too(delegate):
    table = blockwise_weight(block=32, blocks=2, units=9, seed=0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)], autograph=False)
    def product(ids):
        values = table.dequantized()
        return tf.matmul(tf.gather(values, ids), values, transpose_b=True)

    content = pack(dense_models.convert(product), [table])
    verify(content, [table])
    names = [op.name for op in flatbuffer.operators(flatbuffer.load(content))]
    assert names == ["EMBEDDING_LOOKUP", "FULLY_CONNECTED"]
    ids = np.array([3, 0, 8, 3], np.int32)
    rows = table.dequantized()[ids]
    if delegate == "xnnpack":
        codes = reference.quantize_rows(rows, "int8_asymmetric")
    else:
        codes = kernels.quantize_rows_builtin(rows)
    expected = kernels.blockwise(*codes, table)
    outputs = dense_models.run(content, ids, delegate)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
