"""Fewer frames by strided convolutions, arXiv 2005.08100, section 2."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.composite import Composite
from int4_conformer.layers.quant_conv import QuantConv2D
from int4_conformer.layers.steppable import State, follow
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.shapes import sizes


class ConvolutionSubsampling(Composite, keras.layers.Layer):
    """Convolutions of 3 x 3 with stride 2 and ReLU, each of which halves time and frequency.

    Over time they look back only: to one frame before the two that make an output.

    Args:
        factor: feature frames that make one frame; a power of two.
        bins: features of a frame; a multiple of `factor`.
        channels: of every convolution.
        recipe: quantization recipe at this layer's path.

    Call: float [batch, time * factor, bins] -> [batch, time, bins / factor * channels].

    Raises:
        UserError: `factor` is no power of two, or does not divide `bins`.
    """

    def __init__(self, factor: int, bins: int, channels: int, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        if factor < 2 or factor & (factor - 1) or bins % factor:
            raise UserError(
                "Subsampling by convolutions halves frames and bins; `stack` must be a power of "
                f"two that divides `mel_bins`. Received: stack={factor}, mel_bins={bins}"
            )
        self.bins = bins
        self.channels = channels
        self.convolutions = [
            QuantConv2D(channels, 3, 2, activation="relu", quant=recipe.at(name), name=name)
            for name in (f"convolution_{i}" for i in range(factor.bit_length() - 1))
        ]

    def call(self, features: tf.Tensor) -> tf.Tensor:
        x = features[..., None]
        for convolution in self.convolutions:
            x = convolution(tf.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]]))
        return self._flattened(x)

    def initial_state(self, batch: int) -> State:
        """`convolution_i` float [batch, 1, bins / 2^i, channels]: the frame before the piece."""
        return {
            layer.name: tf.zeros([batch, 1, self.bins >> i, self.channels if i else 1])
            for i, layer in enumerate(self.convolutions)
        }

    def step(self, features: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """As `call`, for a piece."""
        x, after = features[..., None], {}
        for convolution in self.convolutions:
            x, after[convolution.name] = follow(state[convolution.name], x)
            x = convolution(tf.pad(x, [[0, 0], [0, 0], [1, 0], [0, 0]]))
        return self._flattened(x), after

    def _flattened(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, [*sizes(x)[:2], x.shape[2] * x.shape[3]])
