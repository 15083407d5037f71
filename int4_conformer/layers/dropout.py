"""Dropout with cheap masks."""

import math
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="int4_conformer")
class Dropout(keras.layers.Layer):
    """`keras.layers.Dropout` with a random byte per element instead of a random float.

    On a CPU, where XLA computes the generator's rounds in ordinary integer code, drawing a float
    for each element was 40% of a small model's training step; a byte is a quarter of that. The
    rate is therefore a multiple of 1/256, the nearest one, and the rest is scaled to match.

    Args:
        rate: part of the elements that training sets to zero.

    Call: float tensor of static shape in training -> the same shape.
    """

    def __init__(self, rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()
        self._dropped = round(256 * rate)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or not self._dropped:
            return x
        size = math.prod(x.shape)
        words = tf.random.stateless_uniform(
            [-(-size // 4)], self.seed_generator.next(), None, None, tf.uint32
        )
        draws = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], x.shape)
        return tf.where(draws >= self._dropped, x * (256 / (256 - self._dropped)), 0.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
