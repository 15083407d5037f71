import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.quant.products.depthwise import conv_by_parts, native_depthwise_conv


@pytest.mark.parametrize("taps", [1, 24, 25, 26, 31, 50, 65])
@pytest.mark.parametrize("time", [None, 7])
def test_parts_of_a_kernel_are_the_kernel(taps, time):
    rng = np.random.default_rng(taps)
    x = rng.standard_normal([2, taps + 6, 3]).astype(np.float32)
    kernel = rng.standard_normal([taps, 3]).astype(np.float32)
    seen = None if time is None else time + taps - 1
    by_parts = tf.function(
        conv_by_parts, [tf.TensorSpec([None, seen, 3]), tf.TensorSpec([taps, 3])]
    )
    expected = native_depthwise_conv(*map(tf.constant, (x, kernel)))
    np.testing.assert_allclose(by_parts(x, kernel), expected, rtol=1e-5, atol=1e-5)
    windows = np.lib.stride_tricks.sliding_window_view(x, taps, axis=1)
    reference = np.einsum("btck,kc->btc", windows.astype(np.float64), kernel)
    np.testing.assert_allclose(expected, reference, rtol=1e-5, atol=1e-5)


def test_no_kernel_in_a_file_has_more_taps_than_are_fast():
    graph = tf.function(conv_by_parts).get_concrete_function(
        tf.TensorSpec([1, None, 4]), tf.TensorSpec([60, 4])
    )
    kernels = [
        operation.inputs[1].shape
        for operation in graph.graph.get_operations()
        if operation.type == "DepthwiseConv2dNative"
    ]
    assert [shape[1] for shape in kernels] == [25, 25, 10]
