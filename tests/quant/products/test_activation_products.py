import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant import activation_einsum, activation_matmul
from int4_conformer.quant.deploy import deploying
from tests.quant import reference

BITS = {"int8_symmetric": 8, "int4_symmetric": 4}
SCALES = ["column", "row"]


def operands(batch=(2, 3), rows=5, width=7, columns=4):
    """float32 a [*batch, rows, width] and b [*batch, width, columns], with a row of zeros and a
    column of zeros."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal([*batch, rows, width]).astype(np.float32)
    b = rng.standard_normal([*batch, width, columns]).astype(np.float32)
    a[..., 0, :], b[..., -1] = 0, 0
    return a, b


def product(a, b, scheme, b_scale="column"):
    """The product of codes, with a dynamic second operand."""
    bits = BITS[scheme]
    b_codes, scale = reference.quantize(b, bits, axes=(-2 if b_scale == "column" else -1,))
    if b_scale == "row":
        a, scale = a * np.swapaxes(scale, -1, -2), np.float32(1)
    a_codes, a_scale = reference.quantize(a, bits, axes=(-1,))
    return reference.matmul(a_codes, b_codes).astype(np.float32) * a_scale * scale


def used_operands(a, b, scheme, b_scale):
    """The numbers whose product it is."""
    bits = BITS[scheme]
    if b_scale == "column":
        return reference.on_grid(a, bits, (-1,)), reference.on_grid(b, bits, (-2,))
    codes, scale = reference.quantize(b, bits, (-1,))
    turned = np.swapaxes(scale, -1, -2)
    return reference.on_grid(a * turned, bits, (-1,)) / turned, codes * scale


@pytest.mark.parametrize("backend", ["auto", "native", "xla", "exact_float"])
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
@pytest.mark.parametrize("b_scale", SCALES)
@pytest.mark.parametrize("scheme", BITS)
def test_it_is_the_integer_product(scheme, b_scale, batch, backend):
    a, b = operands(batch)
    options = {"b_scale": b_scale, "backend": backend}
    expected = product(a, b, scheme, b_scale)
    np.testing.assert_array_equal(activation_matmul(a, b, scheme, **options), expected)
    turned = np.swapaxes(b, -1, -2)
    y = activation_matmul(a, turned, scheme, transpose_b=True, **options)
    np.testing.assert_array_equal(y, expected)
    used_a, used_b = used_operands(a, b, scheme, b_scale)
    np.testing.assert_allclose(y, used_a @ used_b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("b_scale", SCALES)
@pytest.mark.parametrize("scheme", BITS)
def test_gradients_are_straight_through(scheme, b_scale):
    a, b = operands()
    used = [tf.constant(operand) for operand in used_operands(a, b, scheme, b_scale)]
    given = [tf.constant(a), tf.constant(b)]
    dy = np.random.default_rng(1).standard_normal([2, 3, 5, 4]).astype(np.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([given, used])
        y = activation_matmul(*given, scheme, b_scale=b_scale)
        expected = tf.matmul(*used)
    obtained = tape.gradient(y, given, output_gradients=dy)
    wanted = tape.gradient(expected, used, output_gradients=dy)
    for one, other in zip(obtained, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_rows_without_weight_have_no_influence():
    a, b = operands()
    a[..., 4:] = 0
    other = np.concatenate([b[..., :4, :], 1000 + b[..., 4:, :]], axis=-2)
    y, changed = (activation_matmul(a, x, "int4_symmetric", b_scale="row") for x in (b, other))
    np.testing.assert_array_equal(y, changed)
    assert np.any(y != activation_matmul(a, other, "int4_symmetric", b_scale="column"))


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [([None, 3, None, 7], [None, 3, 7, None]), ([2, 3, 5, None], [2, 3, None, 4])],
    ids=["outer", "inner"],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_unknown_sizes(a_shape, b_shape, jit_compile):
    a, b = operands()
    function = tf.function(
        lambda a, b: activation_matmul(a, b, "int8_symmetric"),
        input_signature=[tf.TensorSpec(a_shape), tf.TensorSpec(b_shape)],
        jit_compile=jit_compile,
        autograph=False,
    )
    np.testing.assert_allclose(function(a, b), product(a, b, "int8_symmetric"), rtol=1e-6)


# Equation, shapes of the operands, and the axes of each that are summed over.
EQUATIONS = [
    ("bshk,bthk->bhts", [2, 5, 3, 4], [2, 6, 3, 4], [3], [3]),
    ("bhts,bshk->bthk", [2, 3, 6, 5], [2, 5, 3, 4], [3], [1]),
    ("acbd,aecd->abe", [2, 3, 5, 4], [2, 6, 3, 4], [1, 3], [2, 3]),
    ("abc,adc->abd", [2, 3, 4], [2, 5, 4], [2], [2]),
    ("abcde,afgde->adbcfg", [2, 3, 2, 4, 5], [2, 2, 3, 4, 5], [4], [4]),
    ("ab,cb->ac", [3, 4], [5, 4], [1], [1]),
]


@pytest.mark.parametrize("sizes", ["known", "unknown"])
@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: case[0])
def test_einsum_is_that_of_the_dequantized_operands(case, sizes):
    equation, a_shape, b_shape, a_axes, b_axes = case
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in (a_shape, b_shape))
    expected = np.einsum(equation, reference.on_grid(a, 8, a_axes), reference.on_grid(b, 8, b_axes))

    def function(a, b):
        return activation_einsum(equation, a, b, "int8_symmetric")

    if sizes == "unknown":
        unknown = [tf.TensorSpec([None] * len(shape)) for shape in (a_shape, b_shape)]
        function = tf.function(function, input_signature=unknown, autograph=False)
    y = function(tf.constant(a), tf.constant(b))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_an_einsum_that_is_no_product():
    with pytest.raises(ValueError, match="`equation` must sum over axes that both operands have"):
        activation_einsum("ab,bc->c", tf.ones([2, 2]), tf.ones([2, 2]), "int8_symmetric")


def test_an_unknown_scheme():
    with pytest.raises(
        UserError,
        match=r"quantized by int8_symmetric or int4_symmetric. Received: 'int8_asymmetric'",
    ):
        activation_matmul(*operands(), "int8_asymmetric")


@pytest.mark.parametrize("scheme", BITS)
def test_deployed(scheme):
    a, b = operands()
    expected = product(a, b, scheme)
    graphs = {}
    for target in ("integers", "float_twin"):
        with deploying(target):
            function = tf.function(lambda a, b: activation_matmul(a, b, scheme), autograph=False)
            graphs[target] = function.get_concrete_function(tf.constant(a), tf.constant(b))
    served, twin = (graph(tf.constant(a), tf.constant(b)) for graph in graphs.values())
    # Grappler may multiply the two scales first.
    np.testing.assert_array_max_ulp(served.numpy(), expected, 2)
    np.testing.assert_allclose(twin, expected, rtol=1e-5, atol=1e-5)
    # XLA is neither on a server nor in LiteRT.
    for graph in graphs.values():
        types = {op.type for op in graph.graph.get_operations()}
        assert not types & {"PartitionedCall", "StatefulPartitionedCall"}
