"""Conformer block, arXiv 2005.08100."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.composite import Composite
from int4_conformer.layers.convolution_module import ConvolutionModule
from int4_conformer.layers.feed_forward import FeedForward
from int4_conformer.layers.frames import Frames
from int4_conformer.layers.relative_attention import RelativeAttention
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.models.model_config import EncoderConfig
from int4_conformer.quant.spec.recipe import Recipe


class ConformerBlock(Composite, keras.layers.Layer):
    """Half-step feed-forward, attention, convolution, half-step feed-forward, layer norm (eq. 1).

    Args:
        config: sizes.
        chunk: as in `layers.frames`.
        recipe: quantization recipe at this layer's path.
        attends: whether there is attention.

    Call: x float [batch, time, dim], `Frames` -> [batch, time, dim].
    """

    def __init__(
        self,
        config: EncoderConfig,
        chunk: int | None,
        recipe: Recipe,
        attends: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        dim, dropout = config.dim, config.dropout
        self.ffn_start, self.ffn_end = (
            FeedForward(dim, config.expansion * dim, dropout, recipe.at(name), name=name)
            for name in ("ffn_start", "ffn_end")
        )
        self.attention = None
        if attends:
            self.attention = RelativeAttention(
                dim, config.heads, dropout, recipe.at("attention"), name="attention"
            )
        self.convolution = ConvolutionModule(
            dim, config.kernel_size, chunk, dropout, recipe.at("convolution"), name="convolution"
        )
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def call(self, x: tf.Tensor, frames: Frames, training: bool = False) -> tf.Tensor:
        x += 0.5 * self.ffn_start(x, training=training)
        if self.attention is not None:
            x += self.attention(x, frames=frames, training=training)
        x += self.convolution(x, padding_mask=frames.mask, training=training)
        x += 0.5 * self.ffn_end(x, training=training)
        return self.norm(x)

    def initial_state(self, batch: int, left_context: int) -> State:
        """Of attention and convolution, by their names."""
        state = named("convolution", self.convolution.initial_state(batch))
        if self.attention is not None:
            state |= named("attention", self.attention.initial_state(batch, left_context))
        return state

    def step(self, x: tf.Tensor, frames: Frames, state: State) -> tuple[tf.Tensor, State]:
        """As `call`, for a piece."""
        after: State = {}
        x += 0.5 * self.ffn_start(x)
        if self.attention is not None:
            y, part = self.attention.step(x, frames, of_part(state, "attention"))
            x, after = x + y, named("attention", part)
        y, part = self.convolution.step(x, frames.mask, of_part(state, "convolution"))
        x, after = x + y, after | named("convolution", part)
        x += 0.5 * self.ffn_end(x)
        return self.norm(x), after
