"""Transformer block, arXiv 2002.02562."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.feed_forward import FeedForward
from int4_conformer.layers.frames import Frames, SeesFrames
from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.relative_attention import RelativeAttention
from int4_conformer.layers.steppable import State, joined, named, of_part
from int4_conformer.quant.spec.recipe import Quant, as_recipe


@keras.saving.register_keras_serializable(package="int4_conformer")
class TransformerBlock(SeesFrames, keras.layers.Layer):
    """Attention and feed-forward, each behind a layer norm, and a layer norm at the end.

    Args:
        dim: width of input and output, a multiple of 2 * heads.
        heads: of the attention.
        expansion: hidden width of the feed-forward module, in units of `dim`.
        chunk, left_context: which frames a frame sees (`layers.frames`); None: all.
        dropout: rate of every module.
        branch_scale: factor of the first values of the kernels that end residual branches
            (`layers.branch_kernel`).
        quant: how its dense layers are quantized (`as_recipe`), by names such as `attention/query`
            and `ffn/up`.

    Call: x float [batch, time, dim], padding_mask bool [batch, time] (False: padding) or None ->
        [batch, time, dim].

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = TransformerBlock(64, heads=4, chunk=1, quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        expansion: int = 4,
        chunk: int | None = None,
        left_context: int | None = None,
        dropout: float = 0.0,
        branch_scale: float = 1.0,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.heads = heads
        self.expansion = expansion
        self.dropout_rate = dropout
        self.branch_scale = branch_scale
        self.recipe = as_recipe(quant)
        self.attention = RelativeAttention(
            dim,
            heads,
            chunk=chunk,
            left_context=left_context,
            dropout=dropout,
            branch_scale=branch_scale,
            quant=self.recipe.at("attention"),
            name="attention",
        )
        self.span = self.attention.span
        self.ffn = FeedForward(
            dim,
            expansion * dim,
            dropout=dropout,
            branch_scale=branch_scale,
            quant=self.recipe.at("ffn"),
            name="ffn",
        )
        self.norm = LayerNorm(name="norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for part in (self.attention, self.ffn, self.norm):
            part.build(input_shape)

    def initial_memory(self, batch: int) -> State:
        """Of the attention, by its name."""
        return named("attention", self.attention.initial_memory(batch))

    def advance_frames(
        self, x: tf.Tensor, frames: Frames, memory: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        y, after = self.attention.advance_frames(x, frames, of_part(memory, "attention"), training)
        x += y
        return self.norm(x + self.ffn(x, training=training)), joined(attention=after)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "dim": self.dim,
            "heads": self.heads,
            "expansion": self.expansion,
            "chunk": self.span.chunk,
            "left_context": self.span.left_context,
            "dropout": self.dropout_rate,
            "branch_scale": self.branch_scale,
            "quant": self.recipe.to_config(),
        }
