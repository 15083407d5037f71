import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.layers.depthwise import depthwise_conv


def operands(batch, time, channels, taps):
    rng = np.random.default_rng(taps)
    shapes = [batch, time, channels], [taps, channels], [batch, time, channels]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def by_tensorflow(x, kernel):
    """The op that the layer's own sum stands in for."""
    taps = len(kernel)
    x = tf.pad(x, [[0, 0], [(taps - 1) // 2, taps // 2], [0, 0]])
    return tf.nn.depthwise_conv2d(x[:, None], kernel[None, :, :, None], [1] * 4, "VALID")[:, 0]


def with_gradients(convolve, x, kernel, dy):
    x, kernel = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
    return [y, *tape.gradient(y, [x, kernel], output_gradients=dy)]


@pytest.mark.parametrize("size", [(2, 9, 3, 4), (1, 5, 2, 1), (3, 4, 1, 15), (2, 1, 5, 7)], ids=str)
def test_values_and_gradients_are_those_of_the_op(size):
    x, kernel, dy = operands(*size)
    expected = with_gradients(by_tensorflow, x, kernel, dy)
    for compiled in (None, False, True):
        run = depthwise_conv
        if compiled is not None:
            run = tf.function(depthwise_conv, jit_compile=compiled)
        for one, other in zip(with_gradients(run, x, kernel, dy), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [[None, 9, 3], [2, None, 3], [None, None, 3]], ids=str)
def test_unknown_sizes(shape):
    x, kernel, dy = operands(2, 9, 3, 4)
    run = tf.function(depthwise_conv, input_signature=[tf.TensorSpec(shape), tf.TensorSpec([4, 3])])
    results = with_gradients(run, x, kernel, dy)
    for one, other in zip(results, with_gradients(by_tensorflow, x, kernel, dy), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
