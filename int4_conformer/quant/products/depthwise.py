"""Depthwise convolution over time: by TensorFlow's op, and as a sum over taps, which XLA compiles
well."""

import functools
import operator

import tensorflow as tf

from int4_conformer.xla import fused

# Of a depthwise kernel; what is longer, XNNPACK computes as convolutions of one channel each, which
# take longer by a factor of ten and more.
MOST_FAST_TAPS = 25


def native_depthwise_conv(
    x: tf.Tensor, kernel: tf.Tensor, *, stride: int = 1, dilation: int = 1
) -> tf.Tensor:
    """Convolves each channel with its own kernels, without padding, by TensorFlow's op, which
    TFLite has a kernel for.

    Args:
        x: float [batch, time, channels].
        kernel: float [taps, channels] or [taps, channels, multiplier].
        stride: frames from one output to the next.
        dilation: frames from one tap to the next.

    Returns:
        float [batch, time', channels * multiplier].
    """
    if kernel.shape.rank == 2:
        kernel = kernel[..., None]
    # The op knows strides or dilations, not both. It wants an image; this one is a row high.
    strides, skipped = ([1, stride, stride, 1], 1) if dilation == 1 else ([1] * 4, stride)
    image = tf.expand_dims(x, axis=1)
    y = tf.nn.depthwise_conv2d(image, kernel[None], strides, "VALID", dilations=[1, dilation])
    y = tf.squeeze(y, axis=1)
    return y if skipped == 1 else y[:, ::skipped]


def conv_by_parts(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`native_depthwise_conv` of as many taps at a time as XNNPACK has fast kernels for.

    Args:
        x: float [batch, time + taps - 1, channels].
        kernel: float [taps, channels].

    Returns:
        float [batch, time, channels].
    """
    taps = kernel.shape[0]
    parts = []
    for start in range(0, taps, MOST_FAST_TAPS):
        part = kernel[start : start + MOST_FAST_TAPS]
        # What its taps see, counted from the end, so that the time need not be known.
        left_out = taps - start - part.shape[0]
        seen = x if part.shape[0] == taps else x[:, start : -left_out or None]
        parts.append(native_depthwise_conv(seen, part))
    # Not tf.add_n, an operator that XNNPACK leaves to others.
    return functools.reduce(operator.add, parts)


@tf.custom_gradient
def sum_over_taps(x: tf.Tensor, kernel: tf.Tensor):
    """y[t] = sum_i x[t + i] kernel[i]: [batch, time + taps - 1, channels] -> [batch, time, ...].

    XLA's convolutions on a CPU have no fast case for one channel per group, and their gradients
    none at all.
    """

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _gradients(dy, x, kernel)

    return _windows(x, kernel, x.shape[1] - kernel.shape[0] + 1), gradient


# Fused: as single ops, these sums take longer than the products of a Conformer block.
@fused
def _gradients(dy: tf.Tensor, x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    taps = kernel.shape[0]
    padded = tf.pad(dy, [[0, 0], [taps - 1, taps - 1], [0, 0]])
    dx = _windows(padded, kernel[::-1], x.shape[1])

    # The sum over time is a loop of whole rows of channels: XLA's own reduction would go through
    # memory once per tap and channel.
    def add_frame(frame: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        window = tf.slice(x, [0, frame, 0], tf.shape(total))
        at_frame = tf.slice(dy, [0, frame, 0], tf.shape(dy[:, :1]))
        return frame + 1, total + window * at_frame

    _, d_kernel = tf.while_loop(
        lambda frame, _: frame < dy.shape[1], add_frame, (0, tf.zeros_like(x[:, :taps]))
    )
    return dx, tf.reduce_sum(d_kernel, axis=0)


@fused
def _windows(x: tf.Tensor, kernel: tf.Tensor, time: int) -> tf.Tensor:
    return tf.add_n([x[:, tap : tap + time] * kernel[tap] for tap in range(kernel.shape[0])])
