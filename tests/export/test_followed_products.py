import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.export.followed_products import Agreement, FollowedProducts, Integers
from int4_conformer.export.trace import deployed_weights
from int4_conformer.quant.context import changed
from tests.quant import reference
from tests.support import dense_models

RNG = np.random.default_rng(0)
X = RNG.standard_normal([6, 12]).astype(np.float32)


def followed(layer, given):
    """Outputs of the layer's eager call, the agreement, and the integers that were met."""
    integers = Integers()
    products = FollowedProducts(layer, given, integers)
    with changed(products=products):
        y = layer(X)
    return y.numpy(), products.agreement, deployed_weights(integers, layer)


@pytest.mark.parametrize("scheme", ["w4c_a8d", "w8c_a8dsym", "w4c_a4dsym"])
def test_what_the_file_multiplies_is_multiplied(scheme):
    layer = dense_models.layer(scheme, 12, 10)
    other = X.copy()
    other[2, 5] = X[2].max() - other[2, 5]
    y, agreement, _ = followed(layer, {"kernel": [other]})
    np.testing.assert_array_equal(y, layer(other))
    assert agreement.codes == X.size
    assert agreement.flipped >= 1
    assert agreement.unseen == 0


def test_the_same_activations_have_no_flip():
    layer = dense_models.layer("w4c_a8d", 12, 10)
    y, agreement, _ = followed(layer, {"kernel": [X[None]]})
    np.testing.assert_array_equal(y, layer(X))
    assert agreement == Agreement(codes=X.size, where="")


def test_a_code_at_a_border():
    layer = dense_models.layer("w4c_a8d", 12, 10)
    codes, scale, zero_point = reference.quantize_rows(X, "int8_asymmetric")
    # Of one activation, the two floats on both sides of a border.
    border = np.float32((codes[1, 3] + 0.5 - zero_point[1, 0]) * scale[1, 0])
    x, other = X.copy(), X.copy()
    x[1, 3], other[1, 3] = border * np.float32(1 - 1e-5), border * np.float32(1 + 1e-5)
    integers = Integers()
    products = FollowedProducts(layer, {"kernel": [other]}, integers)
    with changed(products=products):
        layer(x)
    assert (products.agreement.flipped, products.agreement.largest_flip) == (1, 1)
    assert products.agreement.where == "kernel"
    span = max(X[1].max(), 0) - min(X[1].min(), 0)
    assert products.agreement.distance == pytest.approx(2e-5 * abs(border) / span, rel=0.05)


def test_a_zero_point_that_is_one_off_is_no_flip():
    """Codes and zero point move together, and what they stand for does not."""
    layer = dense_models.layer("w4c_a8d", 2, 10)
    # Borders between two zero points: -128 + 63.5 * 255 / 255.
    x = np.float32([[-63.5 + 1e-4, 191.5]])
    other = np.float32([[-63.5 - 1e-4, 191.5]])
    codes = [reference.quantize_rows(rows, "int8_asymmetric") for rows in (x, other)]
    assert codes[0][2] != codes[1][2]
    products = FollowedProducts(layer, {"kernel": [other]}, Integers())
    with changed(products=products):
        layer(x)
    assert products.agreement.largest_flip <= 1


@pytest.mark.parametrize("given", [{}, {"other": [X]}, {"kernel": []}])
def test_what_the_file_does_not_show(given):
    layer = dense_models.layer("w4c_a8d", 12, 10)
    y, agreement, _ = followed(layer, given)
    np.testing.assert_array_equal(y, layer(X))
    assert agreement == Agreement(unseen=1)


def test_the_integers_are_those_that_a_file_should_hold():
    layer = dense_models.layer("w4c_a8d", 12, 10)
    _, _, (weight,) = followed(layer, {})
    _, (expected,) = dense_models.traced(layer)
    assert weight.name == expected.name
    assert weight.equals(expected)


@pytest.mark.parametrize("scheme", ["float", "w4c"])
def test_float_activations_are_not_followed(scheme):
    layer = dense_models.layer(scheme, 12, 10)
    y, agreement, weights = followed(layer, {"kernel": [2 * X]})
    np.testing.assert_array_equal(y, layer(X))
    assert agreement == Agreement()
    assert len(weights) == (scheme == "w4c")


def test_sums_of_agreements():
    total = Agreement(codes=3, flipped=1, largest_flip=1, distance=0.1, where="a", unseen=1)
    total.add(Agreement(codes=4, flipped=2, largest_flip=2, distance=0.05, where="b", unseen=2))
    expected = Agreement(codes=7, flipped=3, largest_flip=2, distance=0.1, where="a", unseen=3)
    assert total == expected
    total.add(Agreement(distance=0.2, where="c"))
    assert (total.distance, total.where) == (0.2, "c")


def test_a_rank_of_the_file():
    """Files keep the axes of what a layer was given."""
    layer = dense_models.layer("w4c_a8d", 12, 10)
    x = tf.constant(X.reshape(2, 3, 12))
    products = FollowedProducts(layer, {"kernel": [X.reshape(2, 3, 12)]}, Integers())
    with changed(products=products):
        y = layer(x)
    np.testing.assert_array_equal(y, layer(X).numpy().reshape(2, 3, 10))
    assert products.agreement.unseen == 0
