"""Conformer encoder, arXiv 2005.08100."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.attention import RelativeAttention, RelativePositions
from int4_conformer.layers.convolution import ConvolutionModule
from int4_conformer.layers.dense import QuantDense
from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.feed_forward import FeedForward
from int4_conformer.models.config import EncoderConfig
from int4_conformer.quant.recipe import Recipe


class ConformerBlock(keras.layers.Layer):
    """Half-step feed-forward, attention, convolution, half-step feed-forward, layer norm (eq. 1).

    Call: x float [batch, time, dim], positions, padding_mask [batch, time] or None ->
        [batch, time, dim].
    """

    def __init__(self, config: EncoderConfig, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        dim, dropout = config.dim, config.dropout
        self.ffn_start, self.ffn_end = (
            FeedForward(dim, config.expansion * dim, dropout, recipe.at(name), name=name)
            for name in ("ffn_start", "ffn_end")
        )
        self.attention = RelativeAttention(
            dim, config.heads, dropout, recipe.at("attention"), name="attention"
        )
        self.convolution = ConvolutionModule(
            dim, config.kernel_size, dropout, recipe.at("convolution"), name="convolution"
        )
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def call(
        self,
        x: tf.Tensor,
        positions: tuple[tf.Tensor, tf.Tensor],
        padding_mask: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        x += 0.5 * self.ffn_start(x, training=training)
        x += self.attention(x, positions, padding_mask=padding_mask, training=training)
        x += self.convolution(x, padding_mask=padding_mask, training=training)
        x += 0.5 * self.ffn_end(x, training=training)
        return self.norm(x)


class ConformerEncoder(keras.layers.Layer):
    """Stacks feature frames, projects them and runs the blocks.

    The projection of stacked frames stands where the paper has strided convolutions: it is a dense
    layer, so its weights can be 4 bits.

    Args:
        config: sizes.
        stack: feature frames per encoder frame.
        recipe: quantization recipe at this layer's path.

    Call: float [batch, time * stack, bins], padding_mask [batch, time] or None ->
        [batch, time, dim].
    """

    def __init__(self, config: EncoderConfig, stack: int, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        self.stack = stack
        self.input_dense = QuantDense(config.dim, quant=recipe.at("input"), name="input")
        self.input_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="input_norm")
        self.dropout = Dropout(config.dropout)
        self.positions = RelativePositions(config.dim // config.heads)
        self.blocks = [
            ConformerBlock(config, recipe.at(name), name=name)
            for name in (f"block_{i}" for i in range(config.blocks))
        ]

    def call(
        self, features: tf.Tensor, padding_mask: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        batch, time, bins = features.shape
        frames = tf.reshape(
            features, [batch, -1 if time is None else time // self.stack, bins * self.stack]
        )
        x = self.dropout(self.input_norm(self.input_dense(frames)), training=training)
        positions = self.positions(x)
        for block in self.blocks:
            x = block(x, positions, padding_mask=padding_mask, training=training)
        return x
