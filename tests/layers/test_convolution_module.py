import functools

import numpy as np
import pytest
import tensorflow as tf

from int4_conformer import verify_steppable
from int4_conformer.layers import ConvolutionModule
from int4_conformer.layers.convolution_module import depthwise_conv
from int4_conformer.quant import QuantConfig, Recipe
from tests.support.examples import heavy
from tests.support.streaming import SEGMENTS_ALONE, noise

DIM, TIME = 6, 9
X = np.random.default_rng(0).standard_normal([2, TIME, DIM]).astype(np.float32)
MASK = np.arange(TIME) < np.array([[TIME], [5]])


def module(kernel_size, chunk=None, quant=None):
    """A layer whose weights, biases included, are not zero."""
    layer = ConvolutionModule(DIM, kernel_size, chunk=chunk, quant=quant)
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape) * 0.5)
    return layer


def norm(layer, x):
    gamma, beta = layer.get_weights()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def expected(layer, x):
    """One utterance, frame by frame."""
    (up, up_bias), (down, down_bias) = layer.up.get_weights(), layer.down.get_weights()
    kernel = layer.depthwise_kernel.numpy()
    value, gate = np.split(norm(layer.norm, x) @ up + up_bias, 2, axis=-1)
    gated = value * sigmoid(gate)
    convolved = np.zeros_like(x)
    taps, chunk = len(kernel), layer.chunk or len(x)
    for t in range(len(x)):
        for k in range(taps):
            source = t + k - (taps - 1 if layer.chunk == 1 else (taps - 1) // 2)
            if 0 <= source < min(len(x), t - t % chunk + chunk):
                convolved[t] += gated[source] * kernel[k]
    normalized = norm(layer.depthwise_norm, convolved)
    return normalized * sigmoid(normalized) @ down + down_bias


@pytest.mark.parametrize("kernel_size", [1, 3, 4, 15])
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_it_is_gate_depthwise_convolution_and_projection(kernel_size, chunk):
    layer = module(kernel_size, chunk)
    for utterance, output in zip(X, layer(X), strict=True):
        reference = expected(layer, utterance)
        np.testing.assert_allclose(output, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel_size", "chunk", "options"),
    [
        (4, 1, {}),
        (4, 3, SEGMENTS_ALONE),
        *((kernel_size, 1, SEGMENTS_ALONE) for kernel_size in (1, 2, 15)),
        *((kernel_size, 3, SEGMENTS_ALONE) for kernel_size in (1, 2, 15)),
        *heavy((4, 3, {})),
    ],
)
def test_segments_are_convolved_as_the_whole(kernel_size, chunk, options):
    verify_steppable(module(kernel_size, chunk), noise([3, 13, DIM]), [13, 5, 9], **options)


@pytest.mark.parametrize("quant", [None, "w4a8"])
def test_padding_changes_no_real_frame(quant):
    layer = module(5, quant=quant)
    y = layer(X, MASK).numpy()
    np.testing.assert_allclose(y[1, :5], layer(X[1:, :5])[0], rtol=1e-4, atol=1e-4)
    other = np.where(MASK[..., None], X, 100 * X[:, ::-1])
    np.testing.assert_array_equal(layer(other, MASK)[MASK], y[MASK])


def test_the_dense_layers_follow_the_recipe():
    w4, w8 = QuantConfig(weight_bits=4), QuantConfig(weight_bits=8)
    recipe = Recipe(name="test", rules=(("conv/up", w4), ("conv/down", w8)))
    layer = ConvolutionModule(DIM, 3, quant=recipe.at("conv"))
    assert (layer.up.quant, layer.down.quant) == (w4, w8)


# The depthwise convolution by itself.


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
def test_a_depthwise_convolution_and_its_gradients_are_those_of_the_op(size):
    x, kernel, dy = operands(*size)
    expected = with_gradients(functools.partial(by_tensorflow, before=size[1]), x, kernel, dy)
    convolve = functools.partial(depthwise_conv, before=size[1], given=size[1])
    for compiled in (None, False, True):
        run = (
            convolve
            if compiled is None
            else tf.function(convolve, jit_compile=compiled, autograph=False)
        )
        assert_close(with_gradients(run, x, kernel, dy), expected)


@pytest.mark.parametrize("chunk", [1, 2, 4, 12])
@pytest.mark.parametrize(("before", "taps"), [(0, 1), (0, 2), (1, 3), (1, 4), (2, 3), (7, 15)])
def test_a_depthwise_kernel_sees_nothing_beyond_its_chunk(chunk, before, taps):
    x, kernel, dy = operands(2, before, 12, 3, taps)
    options = {"before": before, "chunk": chunk}
    expected = with_gradients(functools.partial(by_tensorflow, **options), x, kernel, dy)
    convolve = functools.partial(depthwise_conv, given=options["before"], **options)
    assert_close(with_gradients(convolve, x, kernel, dy), expected)


@pytest.mark.parametrize("chunk", [None, 1, 4])
@pytest.mark.parametrize(("before", "taps"), [(0, 1), (2, 3), (3, 8)])
def test_without_frames_to_look_back_to_there_are_zeros(before, taps, chunk):
    x, kernel = map(tf.constant, operands(2, before, 12, 3, taps)[:2])
    convolve = functools.partial(depthwise_conv, kernel=kernel, before=before, chunk=chunk)
    zeros = tf.concat([tf.zeros_like(x[:, :before]), x[:, before:]], axis=1)
    assert_close([convolve(x[:, before:])], [convolve(zeros, given=before)])


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("shape", [[None, 10, 3], [2, None, 3], [None, None, 3]], ids=str)
def test_a_depthwise_convolution_of_unknown_sizes(shape, chunk):
    x, kernel, dy = operands(2, 1, 9, 3, 4)
    options = {"before": 1, "chunk": chunk}
    run = tf.function(
        functools.partial(depthwise_conv, given=options["before"], **options),
        input_signature=[tf.TensorSpec(shape), tf.TensorSpec([4, 3])],
        autograph=False,
    )
    expected = with_gradients(functools.partial(by_tensorflow, **options), x, kernel, dy)
    assert_close(with_gradients(run, x, kernel, dy), expected)
