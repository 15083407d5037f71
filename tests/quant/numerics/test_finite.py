import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.quant import (
    QuantConfig,
    activation_matmul,
    checks,
    dot,
    quantize,
    quantize_rows,
)

W4A8 = QuantConfig(weight_bits=4, activation="int8_asymmetric")
FINITE = np.ones([2, 4], np.float32)
OPERATIONS = {
    "quantize": lambda x: quantize(x).codes,
    "quantize_rows": lambda x: quantize_rows(x, "int8_symmetric").codes,
    "quantize_rows_asymmetric": lambda x: quantize_rows(x, "int8_asymmetric").codes,
    "dot_activation": lambda x: dot(x, FINITE.T, W4A8),
    "dot_weight": lambda x: dot(FINITE, tf.transpose(x), W4A8),
    "activation_matmul": lambda x: activation_matmul(FINITE, x, "int8_symmetric", transpose_b=True),
}


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_checks_find_what_is_not_finite(compiled, name, value):
    x = FINITE.copy()
    x[1, 2] = value
    operation = OPERATIONS[name]
    with checks():
        checked = tf.function(operation, autograph=False) if compiled else operation
        with pytest.raises(tf.errors.InvalidArgumentError, match="Only finite values can be"):
            checked(tf.constant(x))
        checked(tf.constant(FINITE))
    operation(tf.constant(x))


def test_checks_end_with_the_outermost_context():
    infinite = np.float32([np.inf])
    with checks():
        with checks():
            pass
        with pytest.raises(tf.errors.InvalidArgumentError):
            quantize(infinite)
    quantize(infinite)


def test_an_error_ends_the_checks():
    infinite = np.float32([np.inf])
    with pytest.raises(tf.errors.InvalidArgumentError), checks():
        quantize(infinite)
    quantize(infinite)
