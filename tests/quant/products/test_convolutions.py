import numpy as np
import pytest
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant import QuantConfig, conv1d, conv2d, depthwise_conv1d
from tests.quant import reference

FLOAT = QuantConfig()
RNG = np.random.default_rng(0)
SPEECH = RNG.standard_normal([2, 11, 6]).astype(np.float32)
IMAGES = RNG.standard_normal([2, 9, 8, 3]).astype(np.float32)
# Stride and dilation, of which a convolution of TensorFlow takes one.
STEPS = [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]


def random(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def before(x, count):
    """`x` with `count` frames of zeros before it."""
    return np.pad(x, [[0, 0], [count, 0], [0, 0]])


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("stride", "dilation"), STEPS)
@pytest.mark.parametrize("taps", [1, 3, 4])
def test_in_float_conv1d_is_that_of_tensorflow(taps, stride, dilation, padding):
    kernel = random(taps, 6, 5)
    y = conv1d(SPEECH, kernel, FLOAT, stride=stride, padding=padding, dilation=dilation)
    x, name = SPEECH, padding.upper()
    if padding == "causal":
        x, name = before(SPEECH, dilation * (taps - 1)), "VALID"
    expected = tf.nn.conv1d(x, kernel, stride, name, dilations=dilation)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 3)])
def test_in_float_conv2d_is_that_of_tensorflow(dilations, strides, padding):
    kernel = random(3, 2, 3, 5)
    y = conv2d(IMAGES, kernel, FLOAT, strides=strides, padding=padding, dilations=dilations)
    expected = tf.nn.conv2d(IMAGES, kernel, strides, padding.upper(), dilations=dilations)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("stride", "dilation"), [*STEPS, (2, 3)])
def test_in_float_depthwise_conv1d_is_a_convolution_of_each_channel(stride, dilation, padding):
    kernel = random(4, 6, 2)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    y = depthwise_conv1d(SPEECH, kernel, FLOAT, **options)
    for channel in range(6):
        alone = conv1d(
            SPEECH[..., channel : channel + 1], kernel[:, channel : channel + 1], FLOAT, **options
        )
        np.testing.assert_allclose(y[..., 2 * channel : 2 * channel + 2], alone, atol=1e-5)


def patches(x, taps, stride, dilation):
    """[rows, taps * channels] of every place in every utterance."""
    last = x.shape[1] - dilation * (taps - 1)
    return np.array(
        [
            np.concatenate([utterance[start + dilation * tap] for tap in range(taps)])
            for utterance in x
            for start in range(0, last, stride)
        ]
    )


@pytest.mark.parametrize("scheme", ["int8_symmetric", "int4_symmetric", "int8_asymmetric"])
@pytest.mark.parametrize(("stride", "dilation"), [(2, 1), (1, 2)])
def test_patches_are_multiplied_as_integers(stride, dilation, scheme):
    kernel, bias = random(3, 6, 5), random(5)
    config = QuantConfig(weight_bits=4, activation=scheme)
    y = conv1d(
        SPEECH, kernel, config, stride=stride, padding="causal", dilation=dilation, bias=bias
    )
    rows = patches(before(SPEECH, 2 * dilation), 3, stride, dilation)
    expected = reference.dot(rows, kernel.reshape(-1, 5), 4, scheme) + bias
    np.testing.assert_array_equal(tf.reshape(y, [-1, 5]), expected)


def test_conv2d_is_a_conv1d_of_wider_frames():
    # A kernel as wide as the image leaves one place per row.
    config = QuantConfig(weight_bits=4, activation="int8_asymmetric")
    kernel = random(3, 8, 3, 5)
    y = conv2d(IMAGES, kernel, config, strides=(2, 1))
    expected = conv1d(IMAGES.reshape(2, 9, 24), kernel.reshape(3, 24, 5), config, stride=2)
    np.testing.assert_array_equal(y[:, :, 0], expected)


def test_gradients_are_straight_through():
    kernel, dy = random(3, 6, 5), random(2, 5, 5)
    config = QuantConfig(weight_bits=4, activation="int8_symmetric")
    x, w = tf.constant(SPEECH), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([x, w])
        y = conv1d(x, w, config, stride=2)
    dx, dw = tape.gradient(y, [x, w], output_gradients=tf.constant(dy))
    rows = reference.rows_on_grid(patches(SPEECH, 3, 2, 1), "int8_symmetric")
    np.testing.assert_allclose(tf.reshape(dw, [18, 5]), rows.T @ dy.reshape(10, 5), atol=1e-4)
    used = reference.on_grid(kernel, 4, axes=(0, 1))
    expected = tf.nn.conv1d_transpose(dy, used, SPEECH.shape, 2, "VALID")
    np.testing.assert_allclose(dx, expected, atol=1e-4)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_a_depthwise_kernel_is_on_its_grid(granularity):
    kernel, bias = random(5, 6, 2), random(12)
    config = QuantConfig(weight_bits=3, granularity=granularity)
    y = depthwise_conv1d(SPEECH, kernel, config, padding="same", bias=bias)
    axes = (0,) if granularity == "channel" else (0, 1, 2)
    used = reference.on_grid(kernel, 3, axes)
    expected = depthwise_conv1d(SPEECH, used, FLOAT, padding="same") + bias
    np.testing.assert_array_equal(y, expected)


def test_a_depthwise_kernel_refuses_integer_activations():
    with pytest.raises(UserError, match=r"take float activations only.* Received: w8c_a8d"):
        depthwise_conv1d(SPEECH, random(3, 6, 1), QuantConfig.from_name("w8c_a8d"))


@pytest.mark.parametrize("convolution", [conv1d, depthwise_conv1d])
def test_an_unknown_padding(convolution):
    with pytest.raises(UserError, match=r"`padding` must be valid, same or causal. .*='full'"):
        convolution(SPEECH, random(3, 6, 1), FLOAT, padding="full")


@pytest.mark.parametrize("convolution", [conv1d, depthwise_conv1d])
@pytest.mark.parametrize("stride", [1, 2])
def test_causal_outputs_know_no_later_input(stride, convolution):
    kernel = random(4, 6, 1)
    changed = np.concatenate([SPEECH[:, :6], 9 + SPEECH[:, 6:]], axis=1)
    options = {"padding": "causal", "stride": stride, "dilation": 2}
    one, other = (convolution(x, kernel, FLOAT, **options) for x in (SPEECH, changed))
    known = -(-6 // stride)
    np.testing.assert_array_equal(one[:, :known], other[:, :known])
    assert np.all(np.any(one[:, known:] != other[:, known:], axis=-1))


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_unknown_sizes(padding, stride):
    config = QuantConfig(weight_bits=8, activation="int8_symmetric")
    kernel = random(4, 6, 5)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 6])], autograph=False)
    def convolved(x):
        return conv1d(x, kernel, config, stride=stride, padding=padding)

    for frames in (4, 5, 6, 11):
        x = SPEECH[:, :frames]
        expected = conv1d(x, kernel, config, stride=stride, padding=padding)
        np.testing.assert_allclose(convolved(x), expected, rtol=1e-6)
