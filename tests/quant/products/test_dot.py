import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.quant import QuantConfig, dot, einsum
from tests.quant import reference

SCHEMES = ["int8_symmetric", "int4_symmetric", "int8_asymmetric"]
W4A8 = QuantConfig(weight_bits=4, activation="int8_asymmetric")


def operands(rows=6, width=17, columns=5, seed=0):
    """float32 x [rows, width], with a row of zeros, and kernel [width, columns], with such a
    column."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal([rows, width]).astype(np.float32)
    kernel = rng.standard_normal([width, columns]).astype(np.float32)
    x[0], kernel[:, -1] = 0, 0
    return x, kernel


def used_operands(x, kernel, config):
    """The numbers that the codes stand for."""
    if config.activation != "float":
        x = reference.rows_on_grid(x, config.activation)
    if config.weight_bits is not None:
        kernel = reference.on_grid(kernel, config.weight_bits, axes=(0,))
    return x, kernel


def gradients(function, *arguments, dy):
    arguments = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        y = function(*arguments)
    return tape.gradient(y, arguments, output_gradients=tf.constant(dy))


@pytest.mark.parametrize("backend", ["auto", "native", "exact_float"])
@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_dot_is_the_integer_product(scheme, bits, backend):
    x, kernel = operands(seed=bits)
    config = QuantConfig(weight_bits=bits, activation=scheme, backend=backend)
    y = dot(x, kernel, config)
    np.testing.assert_array_equal(y, reference.dot(x, kernel, bits, scheme))
    # The scales are applied to exact sums: what is left is the rounding of three products.
    used_x, used_kernel = used_operands(x, kernel, config)
    np.testing.assert_allclose(y, used_x @ used_kernel.astype(np.float64), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [6, None], ids=["static", "unknown"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_dot_is_the_integer_product_in_a_program(scheme, jit_compile, rows):
    x, kernel = operands()
    config = QuantConfig(weight_bits=4, activation=scheme)

    @tf.function(
        jit_compile=jit_compile,
        input_signature=[tf.TensorSpec([rows, 17]), tf.TensorSpec(kernel.shape)],
        autograph=False,
    )
    def product(x, kernel):
        return dot(x, kernel, config)

    # The integers are equal; Grappler may multiply the two scales first.
    np.testing.assert_array_max_ulp(
        product(x, kernel).numpy(),
        reference.dot(x, kernel, 4, scheme),
        0 if jit_compile and rows else 2,
    )


@pytest.mark.parametrize(
    "config",
    [
        QuantConfig(),
        QuantConfig(weight_bits=4),
        QuantConfig(activation="int8_symmetric"),
        QuantConfig(activation="int8_asymmetric"),
    ],
    ids=str,
)
def test_what_is_not_quantized_stays_float(config):
    x, kernel = operands()
    used_x, used_kernel = used_operands(x, kernel, config)
    np.testing.assert_array_equal(dot(x, kernel, config), tf.matmul(used_x, used_kernel))


@pytest.mark.parametrize(
    "config",
    [
        W4A8,
        QuantConfig(weight_bits=4, activation="int4_symmetric"),
        QuantConfig(weight_bits=8, activation="int8_symmetric"),
        QuantConfig(weight_bits=4),
        QuantConfig(activation="int8_asymmetric"),
        QuantConfig(),
    ],
    ids=str,
)
def test_gradients_are_straight_through(config):
    x, kernel = operands()
    dy = np.random.default_rng(1).standard_normal([6, 5]).astype(np.float32)
    dx, dw = gradients(lambda x, w: dot(x, w, config), x, kernel, dy=dy)
    used_x, used_kernel = used_operands(x, kernel, config)
    np.testing.assert_allclose(dx, dy @ used_kernel.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dw, used_x.T @ dy, rtol=1e-5, atol=1e-5)


def test_gradients_in_bfloat16():
    x, kernel = operands(rows=64)
    dy = np.random.default_rng(1).standard_normal([64, 5]).astype(np.float32)
    exact = gradients(lambda x, w: dot(x, w, W4A8), x, kernel, dy=dy)
    config = dataclasses.replace(W4A8, backward_dtype="bfloat16")
    rounded = gradients(lambda x, w: dot(x, w, config), x, kernel, dy=dy)
    for one, other in zip(exact, rounded, strict=True):
        assert other.dtype == tf.float32
        assert np.any(one != other)
        np.testing.assert_allclose(other, one, rtol=0.01, atol=0.01 * np.std(one))
    y = dot(x, kernel, config)
    np.testing.assert_array_equal(y, dot(x, kernel, W4A8))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gradients_through_the_scale(bits):
    x, kernel = operands()
    kernel = kernel[:, :-1]
    dy = np.random.default_rng(1).standard_normal([6, 4]).astype(np.float32)
    config = QuantConfig(weight_bits=bits, activation="int8_symmetric", scale_gradient=True)
    dx, dw = gradients(lambda x, w: dot(x, w, config), x, kernel, dy=dy)
    used_x, used_kernel = used_operands(x, kernel, config)
    np.testing.assert_allclose(dx, dy @ used_kernel.T, rtol=1e-5, atol=1e-5)
    expected = reference.through_scale(used_x, kernel, dy, bits)
    np.testing.assert_allclose(dw, expected, rtol=1e-4, atol=1e-4)
    # Only the largest weight of each channel differs from plain straight-through.
    plain = tf.matmul(used_x, dy, transpose_a=True).numpy()
    assert np.all(np.count_nonzero(np.abs(dw - plain) > 1e-3, axis=0) <= 1)
    assert np.abs(dw - plain).max() > 0.02 / bits


def test_equal_maxima_share_the_gradient_of_their_scale():
    kernel = np.float32([[7], [-7], [0.4]])
    x, dy = np.float32([[0, 0, 1]]), np.float32([[1]])
    config = QuantConfig(weight_bits=4, scale_gradient=True)
    _, dw = gradients(lambda x, w: dot(x, w, config), x, kernel, dy=dy)
    # The last weight's code is 0, so d(w_deq)/d(scale) = -0.4, of which each maximum has a half.
    np.testing.assert_allclose(dw, [[-0.2 / 7], [0.2 / 7], [1]], rtol=1e-6)


def test_a_channel_of_zeros_has_finite_gradients():
    x, kernel = operands()
    config = dataclasses.replace(W4A8, scale_gradient=True)
    for gradient in gradients(
        lambda x, w: dot(x, w, config), x, kernel, dy=np.ones([6, 5], np.float32)
    ):
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("shape", [[17], [2, 3, 17], [1, 2, 1, 3, 17], [0, 17]], ids=str)
def test_leading_axes_are_kept(shape):
    x, kernel = operands()
    x = np.resize(x[1:], shape)
    y = dot(x, kernel, W4A8)
    assert y.shape == (*shape[:-1], 5)
    np.testing.assert_array_equal(tf.reshape(y, [-1, 5]), dot(x.reshape(-1, 17), kernel, W4A8))


@pytest.mark.parametrize("shape", [[None, 3], [2, None], [None, None]], ids=str)
def test_unknown_leading_axes(shape):
    x, kernel = operands()
    product = tf.function(
        lambda x: dot(x, kernel, W4A8),
        input_signature=[tf.TensorSpec([*shape, 17])],
        autograph=False,
    )
    y = product(x.reshape(2, 3, 17))
    assert y.shape == (2, 3, 5)
    np.testing.assert_allclose(tf.reshape(y, [6, 5]), dot(x, kernel, W4A8), rtol=1e-6)


# Equation, shapes of the operands, and their contracted axes.
EQUATIONS = [
    ("ab,bc->ac", [3, 4], [4, 5], [1], [0]),
    ("btd,dhk->bthk", [2, 3, 4], [4, 5, 6], [2], [0]),
    ("bthk,hkd->btd", [2, 3, 4, 5], [4, 5, 6], [2, 3], [0, 1]),
    ("...hk, hkd -> ...d", [2, 3, 4, 5], [4, 5, 6], [2, 3], [0, 1]),
    ("...d,df->...f", [3, 4], [4, 5], [1], [0]),
    ("btd,df->ftb", [2, 3, 4], [4, 5], [2], [0]),
    ("b...d,fd->f...b", [2, 3, 6, 4], [5, 4], [3], [1]),
    ("adc,cbd->ab", [2, 4, 3], [3, 5, 4], [1, 2], [0, 2]),
    ("dab,cd->abc", [4, 2, 3], [5, 4], [0], [1]),
    ("ebd,edf->ebf", [2, 3, 4], [2, 4, 5], [2], [1]),
    ("bhtd,hdk->bthk", [2, 3, 6, 4], [3, 4, 5], [3], [1]),
    ("abcd,dcae->bace", [2, 3, 4, 5], [5, 4, 2, 6], [3], [0]),
    ("...hd,hd->...h", [2, 3, 4, 5], [4, 5], [3], [1]),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: case[0])
def test_einsum_is_that_of_the_dequantized_operands(case):
    equation, x_shape, kernel_shape, x_axes, kernel_axes = case
    rng = np.random.default_rng(0)
    x, kernel = (rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, kernel_shape))
    used_x = reference.on_grid(x, 8, x_axes)
    used_kernel = reference.on_grid(kernel, 4, kernel_axes)
    expected = np.einsum(equation, used_x, used_kernel)
    config = QuantConfig(weight_bits=4, activation="int8_symmetric")
    y = einsum(equation, x, kernel, config)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        einsum(equation, x, kernel, QuantConfig()), np.einsum(equation, x, kernel), atol=1e-5
    )
    dy = rng.standard_normal(expected.shape).astype(np.float32)
    obtained = gradients(lambda x, w: einsum(equation, x, w, config), x, kernel, dy=dy)
    wanted = gradients(lambda x, w: tf.einsum(equation, x, w), used_x, used_kernel, dy=dy)
    for one, other in zip(obtained, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shape"),
    [("btd,dhk->bhtk", [None, None, 4]), ("bthd,hdk->bthk", [None, None, 4, 5])],
)
def test_einsum_with_unknown_axes(equation, shape):
    rng = np.random.default_rng(0)
    x = rng.standard_normal([size or 3 for size in shape]).astype(np.float32)
    kernel = rng.standard_normal([4, 5, 6]).astype(np.float32)
    product = tf.function(
        lambda x: einsum(equation, x, kernel, W4A8),
        input_signature=[tf.TensorSpec(shape)],
        autograph=False,
    )
    np.testing.assert_allclose(product(x), einsum(equation, x, kernel, W4A8), rtol=1e-6)


@pytest.mark.parametrize(
    "equation",
    ["bd,de->e", "bd,def->be", "bb,be->e", "bd,dd->b", "...d,de->e"],
)
def test_equations_that_are_no_weight_product(equation):
    x, kernel = (
        np.ones([2] * len(term.replace("...", "b"))) for term in equation.split("->")[0].split(",")
    )
    with pytest.raises(ValueError, match="`equation` must sum over axes that both operands have"):
        einsum(equation, x, kernel, W4A8)


@pytest.mark.parametrize("equation", ["bd,de", "bd->b", "bd,de,ef->bf"])
def test_equations_that_are_no_product_of_two(equation):
    with pytest.raises(ValueError, match="unpack"):
        einsum(equation, np.ones([2, 2]), np.ones([2, 2]), W4A8)
