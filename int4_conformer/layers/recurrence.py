"""A loop over time that trains under XLA and that LiteRT runs."""

from collections.abc import Callable

import tensorflow as tf

from int4_conformer.quant.products.trained import products

States = list[tf.Tensor]


def recurrence(
    step: Callable[[tf.Tensor, States], States], x: tf.Tensor, states: States
) -> tuple[tf.Tensor, States]:
    """Takes a step for every frame, one after the other.

    Args:
        step: is given a frame [batch, dim] and the states after the frame before; returns the
            states after this one. It is traced once.
        x: [batch, time, dim]; gradients under XLA need a static time.
        states: before the first frame, each [batch, units].

    Returns:
        the first state after every frame, [batch, time, units], and all states after the last.
    """
    x = tf.transpose(x, [1, 0, 2])
    time = tf.shape(x)[0]
    # Read from an array, since the gradient of a gather is as large as all frames, in every step.
    frames = tf.TensorArray(x.dtype, time).unstack(x)
    # Of a size that LiteRT infers from the input's.
    outputs = tf.zeros_like(x[:, :, :1]) + tf.zeros_like(states[0])

    def advance(t: tf.Tensor, outputs: tf.Tensor, *states: tf.Tensor) -> tuple[tf.Tensor, ...]:
        states = step(frames.read(t), list(states))
        return t + 1, products().with_row(outputs, t, states[0]), *states

    _, outputs, *states = tf.while_loop(
        lambda t, *_: t < time,
        advance,
        (tf.constant(0), outputs, *states),
        maximum_iterations=x.shape[0],
    )
    return tf.transpose(outputs, [1, 0, 2]), states
