"""Depthwise convolution over time as the Conformer has it."""

import tensorflow as tf

from int4_conformer.quant.products.convolutions import depthwise_valid
from int4_conformer.shapes import sizes


def depthwise_conv(
    x: tf.Tensor, kernel: tf.Tensor, *, before: int, chunk: int | None = None
) -> tf.Tensor:
    """Convolves each channel with its own kernel.

    Args:
        x: float [batch, before + time, channels]; the first frames are only looked back to.
        kernel: float [taps, channels].
        before: frames that the kernel looks back; at the others it looks ahead, with zeros beyond
            the end.
        chunk: frames after which the kernel sees zeros, too; None if there is no such end. The time
            is whole chunks.

    Returns:
        float [batch, time, channels].
    """
    ahead = kernel.shape[0] - 1 - before
    kernel = tf.convert_to_tensor(kernel)[:, :, None]
    if not ahead or chunk is None:
        return depthwise_valid(tf.pad(x, [[0, 0], [0, ahead], [0, 0]]), kernel)
    # A row for each chunk: the frames before it, itself, and zeros.
    batch, time, channels = sizes(x[:, before:])
    history = -(-before // chunk)
    x = tf.pad(x, [[0, 0], [history * chunk - before, 0], [0, 0]])
    count = time if isinstance(time, int) and time < 0 else time // chunk + history
    chunks = tf.reshape(x, [batch, count, chunk, channels])
    rows = [chunks[:, j : j - history or None] for j in range(history + 1)]
    rows = tf.concat(rows, axis=2)[:, :, history * chunk - before :]
    rows = tf.pad(rows, [[0, 0], [0, 0], [0, ahead], [0, 0]])
    y = depthwise_valid(tf.reshape(rows, [-1, before + chunk + ahead, channels]), kernel)
    return tf.reshape(y, [batch, time, channels])
