"""Walks over the rows of a lattice, forward and backward, in logarithms.

Each row is scaled so that its largest variable is 1, and the scales are kept apart. Sums over a
thousand steps would otherwise leave float32 three digits of the differences that count.
"""

from collections.abc import Callable

import tensorflow as tf

# Log of an impossible event; finite, so that no difference of two of them is a NaN.
IMPOSSIBLE = -1e30
# Below this lies what holds an impossible event; above it any other.
POSSIBLE = -1e29


def walk(
    step: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], start: tf.Tensor, places: range
) -> tf.Tensor:
    """Stacks, by place, `start` as the first and what `step` makes of the one before, scaled, for
    each other."""

    def body(n: tf.Tensor, x: tf.Tensor, rows: tf.TensorArray):
        x = step(n, scaled(x)[0])
        return n + places.step, x, rows.write(n, x)

    rows = tf.TensorArray(tf.float32, size=len(places), element_shape=start.shape)
    first = tf.constant(places.start)
    _, _, rows = tf.while_loop(
        lambda n, *_: tf.not_equal(n, places.stop),
        body,
        (first + places.step, start, rows.write(first, start)),
        maximum_iterations=len(places) - 1,
    )
    return rows.stack()


def scaled(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """[..., n] less the largest of each row, and that; rows of the impossible stay."""
    largest = tf.reduce_max(x, axis=-1)
    largest = tf.where(largest > POSSIBLE, largest, 0.0)
    return x - largest[..., None], largest


def log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """log(exp(a) + exp(b)), also of impossible events."""
    return tf.maximum(a, b) + tf.math.log1p(tf.exp(-tf.abs(a - b)))
