"""Depthwise convolution over time that XLA compiles well."""

import tensorflow as tf


def depthwise_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves each channel with its own kernel; zeros pad both ends, an even kernel looks one
    frame further ahead than back.

    Where the time is known, a sum over taps: XLA's convolutions on a CPU have no fast case for one
    channel per group, and their gradients none at all. Where it is not, as in an exported graph,
    TensorFlow's own op, which TFLite has a kernel for.

    Args:
        x: float [batch, time, channels].
        kernel: float [taps, channels].

    Returns:
        float [batch, time, channels].
    """
    taps = kernel.shape[0]
    before = (taps - 1) // 2
    x = tf.pad(x, [[0, 0], [before, taps - 1 - before], [0, 0]])
    if x.shape[1] is None:
        # The op wants an image; it is one row high.
        return tf.nn.depthwise_conv2d(x[:, None], kernel[None, :, :, None], [1] * 4, "VALID")[:, 0]
    return _sum_over_taps(x, tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _sum_over_taps(x: tf.Tensor, kernel: tf.Tensor):
    """y[t] = sum_i x[t + i] kernel[i]: [batch, time + taps - 1, channels] -> [batch, time, ...]."""
    taps = kernel.shape[0]
    time = x.shape[1] - taps + 1

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        padded = tf.pad(dy, [[0, 0], [taps - 1, taps - 1], [0, 0]])
        dx = _windows(padded, kernel[::-1], x.shape[1])

        # The sum over time is a loop of whole rows of channels: XLA's own reduction would go
        # through memory once per tap and channel.
        def add_frame(frame: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            window = tf.slice(x, [0, frame, 0], tf.shape(total))
            at_frame = tf.slice(dy, [0, frame, 0], tf.shape(dy[:, :1]))
            return frame + 1, total + window * at_frame

        _, d_kernel = tf.while_loop(
            lambda frame, _: frame < time, add_frame, (0, tf.zeros_like(x[:, :taps]))
        )
        return dx, tf.reduce_sum(d_kernel, axis=0)

    return _windows(x, kernel, time), gradient


def _windows(x: tf.Tensor, kernel: tf.Tensor, time: int) -> tf.Tensor:
    return tf.add_n([x[:, tap : tap + time] * kernel[tap] for tap in range(kernel.shape[0])])
