import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant import backend_table, int_matmul
from int4_conformer.quant.products.matmul import onednn_available
from tests.quant import reference

# Those that run in any program, and one that not every TensorFlow has.
ANYWHERE = ["native", "xla", "exact_float", "auto"]
BACKENDS = ANYWHERE + ["onednn"] * onednn_available()
# Rows, width, columns, bound of the weight codes; 1032 is the widest that `exact_float` takes at
# 127, 18724 at 7.
SIZES = [(1, 1, 1, 127), (3, 7, 5, 7), (17, 33, 9, 31), (2, 1032, 3, 127), (2, 18724, 2, 7)]


def random_codes(rows, width, columns, limit):
    rng = np.random.default_rng(width)
    a = rng.integers(-128, 128, [rows, width])
    b = rng.integers(-limit, limit + 1, [width, columns])
    return a.astype(np.int8), b.astype(np.int8)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_backends_are_exact_on_random_codes(size, backend):
    a, b = random_codes(*size)
    product = int_matmul(tf.constant(a), tf.constant(b), b_limit=size[-1], backend=backend)
    assert product.dtype == tf.int32
    np.testing.assert_array_equal(product, reference.matmul(a, b))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("a", "b"), [(-128, -127), (-128, 127), (127, 127)])
def test_backends_are_exact_on_extremes(a, b, backend):
    width = 1032
    product = int_matmul(
        tf.fill([2, width], tf.constant(a, tf.int8)),
        tf.fill([width, 3], tf.constant(b, tf.int8)),
        backend=backend,
    )
    np.testing.assert_array_equal(product, np.full([2, 3], width * a * b))


# Rows, width, columns: long, wide, odd and tall ones.
MANY = [(2048, 512, 2048), (1, 1031, 30001), (7919, 3, 577), (30000, 65, 17)]


def test_ten_million_accumulators_agree():
    count = 0
    for rows, width, columns in MANY:
        a, b = random_codes(rows, width, columns, 127)
        # Exact: sums of these products are far below 2^53.
        expected = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int32)
        for backend in BACKENDS:
            product = int_matmul(tf.constant(a), tf.constant(b), backend=backend)
            np.testing.assert_array_equal(product, expected)
        count += expected.size
    assert count > 9e6


@pytest.mark.parametrize("backend", ANYWHERE)
def test_sums_beyond_24_bits_are_exact(backend):
    a = tf.fill([1, 4097], tf.constant(127, tf.int8))
    b = tf.fill([4097, 1], tf.constant(127, tf.int8))
    assert int_matmul(a, b, backend=backend).numpy() == 4097 * 127 * 127


@pytest.mark.parametrize(("width", "limit"), [(1033, 127), (3100, 127), (18725, 7)])
def test_exact_float_sums_up_wide_products_in_parts(width, limit):
    rng = np.random.default_rng(width)
    # All but the largest sums that there are, and odd.
    a = np.where(rng.random([2, width]) < 0.01, 127, -128).astype(np.int8)
    b = np.where(rng.random([width, 3]) < 0.01, limit - 1, -limit).astype(np.int8)
    product = int_matmul(tf.constant(a), tf.constant(b), b_limit=limit, backend="exact_float")
    np.testing.assert_array_equal(product, reference.matmul(a, b))


def test_past_its_bound_a_float_product_is_wrong():
    def products(width):
        a = np.full([1, width], -128, np.int8)
        b = np.full([width, 1], -127, np.int8)
        # An odd sum, which from 2^24 on no float32 is.
        a[0, -1], b[-1, 0] = 127, 127
        by_floats = tf.matmul(a.astype(np.float32), b.astype(np.float32))
        return reference.matmul(a, b)[0, 0], int(by_floats[0, 0])

    exact, by_floats = products(1032)
    assert exact == by_floats < 2**24
    exact, by_floats = products(1033)
    assert exact > 2**24
    assert exact != by_floats


@pytest.mark.parametrize("backend", ANYWHERE)
def test_matrices_may_be_many(backend):
    rng = np.random.default_rng(0)
    a = rng.integers(-128, 128, [2, 3, 4, 9]).astype(np.int8)
    b = rng.integers(-127, 128, [2, 3, 9, 5]).astype(np.int8)
    product = int_matmul(tf.constant(a), tf.constant(b), backend=backend)
    np.testing.assert_array_equal(product, reference.matmul(a, b))


def test_exact_float_needs_a_known_width():
    product = tf.function(
        lambda a: int_matmul(a, tf.transpose(a), backend="exact_float"), autograph=False
    )
    with pytest.raises(UserError, match=r"Received: shapes .*; use backend"):
        product.get_concrete_function(tf.TensorSpec([3, None], tf.int8))


@pytest.mark.parametrize("backend", ANYWHERE)
@pytest.mark.parametrize("rows", [3, None], ids=["static", "unknown"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla_program"])
def test_backends_are_exact_in_graphs(jit_compile, rows, backend):
    a, b = random_codes(3, 7, 5, 127)

    @tf.function(
        jit_compile=jit_compile,
        input_signature=[tf.TensorSpec([rows, 7], tf.int8), tf.TensorSpec([7, 5], tf.int8)],
        autograph=False,
    )
    def product(a, b):
        return int_matmul(a, b, backend=backend)

    np.testing.assert_array_equal(product(a, b), reference.matmul(a, b))


@pytest.mark.parametrize(
    ("rows", "width", "ops"),
    [
        (4, 8, ["PartitionedCall"]),
        (4, 2000, ["PartitionedCall"]),
        (None, 8, ["Cast", "Cast", "MatMul", "Cast"]),
        (None, 2000, ["BatchMatMulV3"]),
    ],
)
def test_auto_compiles_known_shapes_only(rows, width, ops):
    codes = tf.TensorSpec([rows, width], tf.int8), tf.TensorSpec([width, 2], tf.int8)
    # Without measurements, which are another test's matter.
    with backend_table({}):
        graph = (
            tf.function(lambda a, b: int_matmul(a, b), autograph=False)
            .get_concrete_function(*codes)
            .graph
        )
    types = [op.type for op in graph.get_operations()]
    assert [op for op in types if op not in ("Placeholder", "Identity", "NoOp")] == ops
