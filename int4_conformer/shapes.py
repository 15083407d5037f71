"""Shapes of which some sizes are not known yet."""

import tensorflow as tf


def sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The shape of `x` as `tf.reshape` takes it: -1 if one axis is unknown, tensors if more are."""
    unknown = [-1] * x.shape.rank if x.shape.as_list().count(None) < 2 else tf.unstack(tf.shape(x))
    return [u if size is None else size for size, u in zip(x.shape, unknown, strict=True)]
