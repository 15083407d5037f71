"""Dropout with cheap masks, and of whole layers."""

import math
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import require_in


@keras.saving.register_keras_serializable(package="int4_conformer")
class Dropout(keras.layers.Layer):
    """`keras.layers.Dropout` with a random byte per element instead of a random float.

    On a CPU, where XLA computes the generator's rounds in ordinary integer code, drawing a float
    for each element was 40% of a small model's training step; a byte is a quarter of that. The
    rate is therefore a multiple of 1/256, the nearest one, and the rest is scaled to match.

    Args:
        rate: part of the elements that training sets to zero.

    Call: float tensor of static shape in training -> the same shape.

    Example:

        >>> x = Dropout(0.5)(tf.ones([100, 64]), training=True)
        >>> sorted(set(x.numpy().ravel().tolist()))
        [0.0, 2.0]
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


@keras.saving.register_keras_serializable(package="int4_conformer")
class StochasticDepth(keras.layers.Layer):
    """Leaves a layer out of some utterances in training (arXiv 1603.09382, section 3).

    What the layer changes is scaled up where it is not left out, so that its mean is what the layer
    does outside training, and nothing is scaled there.

    Args:
        rate: part of the utterances that do without.

    Call: x and layer(x), float [batch, ...] -> the same shape.

    Example:

        >>> x, y = tf.zeros([1000, 4]), tf.ones([1000, 4])
        >>> sorted(set(StochasticDepth(0.5)(x, y, training=True).numpy().ravel().tolist()))
        [0.0, 2.0]
    """

    def __init__(self, rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        require_in("[0, 1)", rate=rate)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, x: tf.Tensor, y: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or not self.rate:
            return y
        shape = [x.shape[0]] + [1] * (x.shape.rank - 1)
        kept = tf.random.stateless_uniform(shape, self.seed_generator.next()) >= self.rate
        return tf.where(kept, x + (y - x) / (1.0 - self.rate), x)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
