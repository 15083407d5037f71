import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.quant import QuantConfig, checks, dot
from int4_conformer.quant.products.matmul import onednn_available
from int4_conformer.xla import fused, without_xla


@fused
def shifted(x, by):
    return tf.reduce_max(x) + x * by


def ops(function, *specs):
    graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
    return [op.type for op in graph.get_operations()]


def test_only_graphs_without_xla_are_compiled():
    spec = tf.TensorSpec([3])
    assert "PartitionedCall" not in ops(lambda x: shifted(x, 2.0), spec)
    with without_xla():
        found = ops(lambda x: shifted(x, 2.0), spec)
        assert found.count("PartitionedCall") == 1
        assert "Mul" not in found
        np.testing.assert_array_equal(shifted(tf.constant([1.0, 2.0]), 2.0), [4.0, 6.0])


def test_checks_are_not_lost_to_xla():
    with checks(), without_xla():
        assert "PartitionedCall" not in ops(lambda x: shifted(x, 2.0), tf.TensorSpec([3]))


def test_no_gradient_comes_through():
    @tf.function
    def gradient(x):
        with without_xla(), tf.GradientTape() as tape:
            tape.watch(x)
            y = x + shifted(x, 2.0)
        return tape.gradient(y, x)

    np.testing.assert_array_equal(gradient(tf.constant([1.0, 2.0])), [1.0, 1.0])


@pytest.mark.skipif(not onednn_available(), reason="this TensorFlow has no 8-bit oneDNN matmul")
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("scheme", ["w4c_a8d", "w4c_a8dsym", "w4c_a4dsym", "w8t_a8d", "w4b32_a8d"])
def test_a_graph_of_fused_pieces_trains_as_eager_calls_do(scheme, transposed):
    rng = np.random.default_rng(0)
    config = dataclasses.replace(QuantConfig.from_name(scheme), backend="onednn")
    arguments = [
        tf.constant(rng.standard_normal(shape), tf.float32)
        for shape in ([9, 64], [20, 64] if transposed else [64, 20], [20], [9, 20])
    ]

    def step(x, kernel, bias, dy):
        with without_xla():
            with tf.GradientTape() as tape:
                tape.watch([x, kernel, bias])
                y = dot(x, kernel, config, bias=bias, transposed=transposed)
            return y, *tape.gradient(y, [x, kernel, bias], output_gradients=dy)

    for in_graph, eager in zip(tf.function(step)(*arguments), step(*arguments), strict=True):
        # Other integers would be off by a hundredth.
        np.testing.assert_allclose(in_graph, eager, rtol=1e-5, atol=1e-5)
