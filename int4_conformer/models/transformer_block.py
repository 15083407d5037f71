"""Transformer block, arXiv 2002.02562."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.composite import Composite
from int4_conformer.layers.feed_forward import FeedForward
from int4_conformer.layers.frames import Frames
from int4_conformer.layers.relative_attention import RelativeAttention
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.models.model_config import EncoderConfig
from int4_conformer.quant.spec.recipe import Recipe


class TransformerBlock(Composite, keras.layers.Layer):
    """Attention and feed-forward, each behind a layer norm, and a layer norm at the end.

    Args:
        config: sizes.
        chunk: as in `layers.frames`; `Frames` have it already.
        recipe: quantization recipe at this layer's path.

    Call: x float [batch, time, dim], `Frames` -> [batch, time, dim].
    """

    def __init__(self, config: EncoderConfig, chunk: int | None, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        dim, dropout = config.dim, config.dropout
        self.attention = RelativeAttention(
            dim, config.heads, dropout, recipe.at("attention"), name="attention"
        )
        self.ffn = FeedForward(dim, config.expansion * dim, dropout, recipe.at("ffn"), name="ffn")
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def call(self, x: tf.Tensor, frames: Frames, training: bool = False) -> tf.Tensor:
        x += self.attention(x, frames=frames, training=training)
        return self.norm(x + self.ffn(x, training=training))

    def initial_state(self, batch: int, left_context: int) -> State:
        """Of the attention, by its name."""
        return named("attention", self.attention.initial_state(batch, left_context))

    def step(self, x: tf.Tensor, frames: Frames, state: State) -> tuple[tf.Tensor, State]:
        """As `call`, for a piece."""
        y, after = self.attention.step(x, frames, of_part(state, "attention"))
        x += y
        return self.norm(x + self.ffn(x)), named("attention", after)
