"""Depthwise convolution over time as the Conformer has it."""

import tensorflow as tf

from int4_conformer.quant.depthwise import depthwise_valid


def depthwise_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves each channel with its own kernel; zeros pad both ends, an even kernel looks one
    frame further ahead than back.

    Args:
        x: float [batch, time, channels].
        kernel: float [taps, channels].

    Returns:
        float [batch, time, channels].
    """
    taps = kernel.shape[0]
    before = (taps - 1) // 2
    x = tf.pad(x, [[0, 0], [before, taps - 1 - before], [0, 0]])
    return depthwise_valid(x, kernel[:, :, None])
