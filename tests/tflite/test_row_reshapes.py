import collections

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import interpreter as litert
from ai_edge_litert import schema_py_generated as schema

from int4_conformer.quant.folding_barrier import FOLDING_BARRIER
from int4_conformer.shapes import sizes
from int4_conformer.tflite import flatbuffer
from int4_conformer.tflite.folding_barriers import remove_barriers
from int4_conformer.tflite.packing import pack
from int4_conformer.tflite.row_reshapes import drop_row_reshapes
from tests.support.dense_models import convert

RNG = np.random.default_rng(0)
KERNELS = [RNG.standard_normal(shape).astype(np.float32) for shape in ((6, 8), (8, 6))]


def rows_times(x, kernel):
    """As deployed layers multiply."""
    rows = tf.minimum(tf.reshape(x, [-1, kernel.shape[0]]), FOLDING_BARRIER)
    y = tf.minimum(tf.matmul(rows, kernel), FOLDING_BARRIER)
    return tf.reshape(y, [*sizes(x)[:-1], kernel.shape[1]])


def feed_forward(x):
    return rows_times(tf.nn.silu(rows_times(x, KERNELS[0])), KERNELS[1]) + x


def halved(x):
    return tf.nn.softmax(0.5 * rows_times(x, KERNELS[0]))


def heads(x):
    return tf.nn.softmax(tf.reshape(rows_times(x, KERNELS[0]), [1, -1, 2, 4]))


def normed_over_rows(x):
    y = tf.reshape(rows_times(x, KERNELS[0]), [-1, 8])
    return tf.reshape(y - tf.reduce_max(y, axis=0), [1, -1, 8])


def counts(model):
    """Of RESHAPE and of FULLY_CONNECTED."""
    found = collections.Counter(
        flatbuffer.builtin(model.operatorCodes[operator.opcodeIndex])
        for subgraph in model.subgraphs
        for operator in subgraph.operators
    )
    operators = schema.BuiltinOperator
    return found[operators.RESHAPE], found[operators.FULLY_CONNECTED]


def run(model, x):
    x = x.numpy()
    interpreter = litert.Interpreter(model_content=pack(model, []))
    (given,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    (made,) = interpreter.get_output_details()
    return interpreter.get_tensor(made["index"])


def converted(function, sizes):
    model = convert(tf.function(function, input_signature=[tf.TensorSpec(sizes)], autograph=False))
    remove_barriers(model)
    return model, counts(model)


@pytest.mark.parametrize("time", [None, 5])
@pytest.mark.parametrize("function", [feed_forward, halved, heads, normed_over_rows])
def test_products_keep_the_rank_of_what_they_take(function, time):
    model, (reshapes, products) = converted(function, [1, time, 6])
    drop_row_reshapes(model)
    needed = {heads: 1, normed_over_rows: 2}.get(function, 0)
    assert reshapes > needed or time is not None
    # Where the time is known, the converter leaves fewer.
    assert counts(model) == (min(needed, reshapes), products)
    x = tf.constant(RNG.standard_normal([1, 5, 6]), tf.float32)
    np.testing.assert_allclose(run(model, x), function(x), rtol=1e-5, atol=1e-5)


def test_two_open_sizes_are_left_as_they_are():
    model, found = converted(feed_forward, [None, None, 6])
    drop_row_reshapes(model)
    assert counts(model) == found
