import functools

import numpy as np
import pytest
import tensorflow as tf
from int4_conformer.layers.depthwise_conv import depthwise_conv


def operands(batch, before, time, channels, taps):
    rng = np.random.default_rng(taps)
    shapes = [batch, before + time, channels], [taps, channels], [batch, time, channels]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def by_tensorflow(x, kernel, before, chunk=None):
    """The op that the layer's own sum stands in for, on each chunk and all before it."""
    taps, time = len(kernel), x.shape[1] - before
    outputs = []
    for start in range(0, time, chunk or time):
        end = start + (chunk or time)
        seen = tf.pad(x[:, start : before + end], [[0, 0], [0, taps - 1 - before], [0, 0]])
        kernels = kernel[None, :, :, None]
        outputs.append(tf.nn.depthwise_conv2d(seen[:, None], kernels, [1] * 4, "VALID")[:, 0])
    return tf.concat(outputs, axis=1)


def with_gradients(convolve, x, kernel, dy):
    x, kernel = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
    return [y, *tape.gradient(y, [x, kernel], output_gradients=dy)]


def assert_close(results, expected):
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


# Batch, frames before, time, channels, taps.
@pytest.mark.parametrize(
    "size",
    [(2, 1, 9, 3, 4), (1, 0, 5, 2, 1), (3, 7, 4, 1, 15), (2, 3, 1, 5, 7), (2, 3, 6, 2, 4)],
    ids=str,
)
def test_values_and_gradients_are_those_of_the_op(size):
    x, kernel, dy = operands(*size)
    expected = with_gradients(functools.partial(by_tensorflow, before=size[1]), x, kernel, dy)
    convolve = functools.partial(depthwise_conv, before=size[1])
    for compiled in (None, False, True):
        run = convolve if compiled is None else tf.function(convolve, jit_compile=compiled)
        assert_close(with_gradients(run, x, kernel, dy), expected)


@pytest.mark.parametrize("chunk", [1, 2, 4, 12])
@pytest.mark.parametrize(("before", "taps"), [(0, 1), (0, 2), (1, 3), (1, 4), (2, 3), (7, 15)])
def test_a_kernel_sees_nothing_beyond_its_chunk(chunk, before, taps):
    x, kernel, dy = operands(2, before, 12, 3, taps)
    options = {"before": before, "chunk": chunk}
    expected = with_gradients(functools.partial(by_tensorflow, **options), x, kernel, dy)
    convolve = functools.partial(depthwise_conv, **options)
    assert_close(with_gradients(convolve, x, kernel, dy), expected)


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("shape", [[None, 10, 3], [2, None, 3], [None, None, 3]], ids=str)
def test_unknown_sizes(shape, chunk):
    x, kernel, dy = operands(2, 1, 9, 3, 4)
    options = {"before": 1, "chunk": chunk}
    run = tf.function(
        functools.partial(depthwise_conv, **options),
        input_signature=[tf.TensorSpec(shape), tf.TensorSpec([4, 3])],
    )
    expected = with_gradients(functools.partial(by_tensorflow, **options), x, kernel, dy)
    assert_close(with_gradients(run, x, kernel, dy), expected)
