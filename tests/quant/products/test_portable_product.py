import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from int4_conformer.quant.numerics.activations import centred_rows, quantize_rows
from int4_conformer.quant.numerics.tensor import QTensor, quantize
from int4_conformer.quant.products.integer_product import integer_product
from int4_conformer.quant.products.portable_product import portable_product

RNG = np.random.default_rng(0)
SCHEMES = ["int8_asymmetric", "int8_symmetric", "int4_symmetric"]


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=60, deadline=None)
@given(
    x=arrays.arrays(
        np.float32, (3, 7), elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
    )
)
def test_numbers_are_the_codes_less_the_zero_point(x, scheme):
    rows = quantize_rows(tf.constant(x), scheme)
    centred, scale, largest = centred_rows(tf.constant(x), scheme)
    expected = tf.cast(rows.codes, tf.int32) - (0 if rows.zero_point is None else rows.zero_point)
    np.testing.assert_array_equal(centred, tf.cast(expected, tf.float32))
    np.testing.assert_array_equal(scale, rows.scale)
    assert np.abs(centred).max() <= largest


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("bits", "width", "block"), [(4, 32, None), (4, 9401, None), (8, 1033, None), (4, 64, 32)]
)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("biased", [False, True])
def test_it_is_the_product_of_training_to_the_bit(scheme, bits, width, block, axis, biased):
    x = tf.constant(RNG.standard_normal([5, width]), tf.float32)
    # Rows that are nothing, positive, and far from zero.
    x = tf.concat([x, tf.zeros([1, width]), tf.abs(x), x + 100.0], axis=0)
    kernel = RNG.standard_normal([width, 6] if axis == 0 else [6, width])
    weight = quantize(kernel, bits, (axis,), block=block)
    bias = tf.constant(RNG.standard_normal(6), tf.float32) if biased else None
    expected = integer_product(quantize_rows(x, scheme), weight, axis, "native", bias)
    found = portable_product(x, weight, axis, scheme, bias)
    np.testing.assert_array_equal(found, expected)
    # Weights are no constants of a graph that is served: Grappler multiplies what is.
    graph = tf.function(
        lambda x, codes, scale: portable_product(
            x, QTensor(codes=codes, scale=scale, bits=bits), axis, scheme, bias
        ),
        autograph=False,
    )
    np.testing.assert_array_equal(graph(x, weight.codes, weight.scale), expected)


def test_the_largest_sums_that_there_are():
    for bits, width in [(8, 518), (8, 519), (4, 9398), (4, 9399)]:
        x = tf.concat([tf.zeros([1, 1]), tf.ones([1, width - 1])], axis=1)
        weight = quantize(tf.ones([width, 1]), bits, (0,))
        expected = integer_product(quantize_rows(x, SCHEMES[0]), weight, 0, "native")
        np.testing.assert_array_equal(portable_product(x, weight, 0, SCHEMES[0]), expected)
