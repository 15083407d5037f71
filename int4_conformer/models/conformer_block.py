"""Conformer block, arXiv 2005.08100."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.convolution_module import ConvolutionModule
from int4_conformer.layers.feed_forward import FeedForward
from int4_conformer.layers.frames import Frames, SeesFrames, Span
from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.relative_attention import RelativeAttention
from int4_conformer.layers.steppable import State, joined, named, of_part
from int4_conformer.quant.spec.recipe import Quant, as_recipe


@keras.saving.register_keras_serializable(package="int4_conformer")
class ConformerBlock(SeesFrames, keras.layers.Layer):
    """Half-step feed-forward, attention, convolution, half-step feed-forward, layer norm (eq. 1).

    Args:
        dim: width of input and output, a multiple of 2 * heads.
        heads: of the attention; 0 leaves it out.
        kernel_size: frames under the depthwise kernel.
        expansion: hidden width of the feed-forward modules, in units of `dim`.
        chunk, left_context: which frames a frame sees (`layers.frames`); None: all.
        dropout: rate of every module.
        branch_scale: factor of the first values of the kernels that end residual branches
            (`layers.branch_kernel`).
        quant: how its dense layers are quantized (`as_recipe`), by names such as `ffn_start/up`,
            `attention/query` and `convolution/down`.

    Call: x float [batch, time, dim], padding_mask bool [batch, time] (False: padding) or None ->
        [batch, time, dim].

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = ConformerBlock(64, heads=4, kernel_size=15, quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        kernel_size: int,
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
        self.kernel_size = kernel_size
        self.expansion = expansion
        self.dropout_rate = dropout
        self.branch_scale = branch_scale
        self.recipe = as_recipe(quant)
        self.span = Span(dim=dim // max(1, heads), chunk=chunk, left_context=left_context)
        self.ffn_start, self.ffn_end = (
            FeedForward(
                dim,
                expansion * dim,
                dropout=dropout,
                branch_scale=branch_scale,
                quant=self.recipe.at(name),
                name=name,
            )
            for name in ("ffn_start", "ffn_end")
        )
        self.attention = None
        if heads:
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
        self.convolution = ConvolutionModule(
            dim,
            kernel_size,
            chunk=chunk,
            dropout=dropout,
            branch_scale=branch_scale,
            quant=self.recipe.at("convolution"),
            name="convolution",
        )
        self.norm = LayerNorm(name="norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        parts = (self.ffn_start, self.attention, self.convolution, self.ffn_end, self.norm)
        for part in parts:
            if part is not None:
                part.build(input_shape)

    def initial_memory(self, batch: int) -> State:
        """Of attention and convolution, by their names."""
        state = named("convolution", self.convolution.initial_state(batch))
        if self.attention is not None:
            state |= named("attention", self.attention.initial_memory(batch))
        return state

    def advance_frames(
        self, x: tf.Tensor, frames: Frames, memory: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        after = {}
        x += 0.5 * self.ffn_start(x, training=training)
        if self.attention is not None:
            y, after["attention"] = self.attention.advance_frames(
                x, frames, of_part(memory, "attention"), training
            )
            x += y
        y, after["convolution"] = self.convolution.advance(
            x, frames.mask, of_part(memory, "convolution"), training
        )
        x += y
        x += 0.5 * self.ffn_end(x, training=training)
        return self.norm(x), joined(**after)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "dim": self.dim,
            "heads": self.heads,
            "kernel_size": self.kernel_size,
            "expansion": self.expansion,
            "chunk": self.span.chunk,
            "left_context": self.span.left_context,
            "dropout": self.dropout_rate,
            "branch_scale": self.branch_scale,
            "quant": self.recipe.to_config(),
        }
