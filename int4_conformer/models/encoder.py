"""The encoder: from feature frames to what the joint network sees of them."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.dropout import Dropout, StochasticDepth
from int4_conformer.layers.frames import Span
from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.steppable import State, Steppable, joined, named, of_part
from int4_conformer.models.conformer_block import ConformerBlock
from int4_conformer.models.convolution_subsampling import ConvolutionSubsampling
from int4_conformer.models.lstm_block import LSTMBlock
from int4_conformer.models.model_config import EncoderConfig
from int4_conformer.models.transformer_block import TransformerBlock
from int4_conformer.quant.spec.recipe import Quant, Recipe, as_recipe
from int4_conformer.shapes import sizes

# Residual branches of a block.
_BRANCHES = {"conformer": 4, "transformer": 2}


@keras.saving.register_keras_serializable(package="int4_conformer")
class Encoder(Steppable, keras.layers.Layer):
    """Projects frames and runs blocks: Conformer, Transformer or LSTM.

    Stacked feature frames are projected by a dense layer where arXiv 2005.08100 has strided
    convolutions, which `subsampling` can be, too. A second pass is given the frames of the first,
    one by one.

    Args:
        config: sizes, and what the frames see.
        stack: input frames that make one.
        bins: features of an input frame.
        quant: how its layers are quantized (`as_recipe`), by names such as `input` and
            `block_0/attention/query`.

    Call: float [batch, time * stack, bins], padding_mask bool [batch, time] (False: padding) or
        None -> [batch, time, dim]; half as many frames with `reduce_after`. The time is a multiple
        of `config.segment` and of `config.reduction`.

    State: by the names of the parts; `span_i/mask` of the frames that the blocks before and after
        the reduction see.

    Raises:
        UserError: it is not.

    Example:

        >>> config = EncoderConfig(dim=64, blocks=2, heads=4, kernel_size=15)
        >>> inputs = keras.Input([None, 80])
        >>> outputs = Encoder(config, stack=4, bins=80, quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 40, 80])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        config: EncoderConfig,
        stack: int = 1,
        bins: int | None = None,
        *,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.config = config
        self.stack = stack
        self.bins = config.dim if bins is None else bins
        self.recipe = as_recipe(quant)
        self.subsampling = None
        if config.subsampling == "convolution":
            self.subsampling = ConvolutionSubsampling(
                stack,
                self.bins,
                config.dim,
                quant=self.recipe.at("subsampling"),
                name="subsampling",
            )
        self.input_dense = QuantDense(config.dim, quant=self.recipe.at("input"), name="input")
        self.input_norm = LayerNorm(name="input_norm")
        self.dropout = Dropout(config.dropout)
        self.reduction = None
        if config.reduce_after is not None:
            self.reduction = QuantDense(
                config.dim, quant=self.recipe.at("reduction"), name="reduction"
            )
        left_context = config.left_context
        if config.kind == "lstm":
            # Its states hold what they need of the frames before a segment.
            left_context = None if config.chunk is None else 0
        self.spans = [
            Span(
                dim=config.dim // config.heads,
                chunk=config.chunk and max(1, config.chunk // rate),
                left_context=left_context and left_context // rate,
            )
            for rate in sorted({1, config.reduction})
        ]
        self.blocks = [
            self._block(i, self.recipe.at(f"block_{i}"), f"block_{i}") for i in range(config.blocks)
        ]
        # Not there without, so that checkpoints hold the random numbers of dropout where they did.
        self.depths = [
            StochasticDepth(config.stochastic_depth * (i + 1) / config.blocks)
            for i in range(config.blocks if config.stochastic_depth else 0)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        batch, dim = input_shape[0], self.config.dim
        inputs = self.stack * self.bins
        if self.subsampling is not None:
            self.subsampling.build(input_shape)
            inputs = self.bins // self.stack * dim
        self.input_dense.build((batch, None, inputs))
        self.input_norm.build((batch, None, dim))
        if self.reduction is not None:
            self.reduction.build((batch, None, self.config.reduction * dim))
        for block in self.blocks:
            block.build((batch, None, dim))

    @property
    def segment_multiple(self) -> int:
        return self.config.segment or self.config.reduction

    def initial_state(self, batch: int) -> State:
        """What a stream starts with, by the names of the parts.

        Raises:
            UserError: the frames see without limit.
        """
        state: State = {}
        if self.subsampling is not None:
            state |= named("subsampling", self.subsampling.initial_state(batch))
        for i, span in enumerate(self.spans):
            state |= named(f"span_{i}", span.initial_state(batch))
        for block in self.blocks:
            state |= named(block.name, block.initial_memory(batch))
        return state

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        after: dict[str, State | None] = {}
        if self.subsampling is None:
            x = x if self.stack == 1 else _neighbours(x, self.stack)
        else:
            x, after["subsampling"] = self.subsampling.advance(
                x, padding_mask, of_part(state, "subsampling"), training
            )
        self._require_whole_chunks(x)
        x = self.dropout(self.input_norm(self.input_dense(x)), training=training)
        frames = None
        for i, block in enumerate(self.blocks):
            if i == self.config.reduce_after:
                x, padding_mask = self._reduced(x, padding_mask)
            if i in (0, self.config.reduce_after):
                span = f"span_{self._rate(i)}"
                frames, after[span] = self.spans[self._rate(i)].advance(
                    x, padding_mask, of_part(state, span)
                )
            y, after[block.name] = block.advance_frames(
                x, frames, of_part(state, block.name), training
            )
            x = self.depths[i](x, y, training=training) if self.depths else y
        return x, joined(**after)

    def _require_whole_chunks(self, x: tf.Tensor) -> None:
        if x.shape[1] is not None and x.shape[1] % self.segment_multiple:
            raise UserError(
                f"An utterance must have a multiple of {self.segment_multiple} frames, whole "
                "chunks and pairs; pad it, and mask the padding. "
                f"Received: {x.shape[1]} frames"
            )

    def _rate(self, i: int) -> int:
        """Index of the span of block `i`."""
        return int(self.config.reduce_after is not None and i >= self.config.reduce_after)

    def _block(self, i: int, recipe: Recipe, name: str) -> keras.layers.Layer:
        config, span = self.config, self.spans[self._rate(i)]
        common = {
            "chunk": span.chunk,
            "dropout": config.dropout,
            "quant": recipe,
            "name": name,
        }
        if config.kind == "lstm":
            return LSTMBlock(config.dim, config.expansion * config.dim, **common)
        common |= {
            "left_context": span.left_context,
            "expansion": config.expansion,
            "branch_scale": (_BRANCHES[config.kind] * config.blocks) ** -0.5,
        }
        if config.kind == "transformer":
            return TransformerBlock(config.dim, config.heads, **common)
        heads = config.heads if i >= config.convolution_blocks else 0
        return ConformerBlock(config.dim, heads, config.kernel_size, **common)

    def _reduced(self, x: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Every two frames as one; it is real if the first of the two is."""
        count = self.config.reduction
        if mask is None:
            return self.reduction(_neighbours(x, count)), None
        # The last real frame of an odd number has padding for a neighbour.
        x *= tf.cast(mask, x.dtype)[:, :, None]
        return self.reduction(_neighbours(x, count)), mask[:, ::count]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "config": dataclasses.asdict(self.config),
            "stack": self.stack,
            "bins": self.bins,
            "quant": self.recipe.to_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Encoder":
        return cls(**(config | {"config": EncoderConfig(**config["config"])}))


def _neighbours(x: tf.Tensor, count: int) -> tf.Tensor:
    """[batch, time, dim] -> [batch, time / count, count * dim]."""
    batch, time, dim = sizes(x)
    if not (isinstance(time, int) and time < 0):
        time //= count
    return tf.reshape(x, [batch, time, dim * count])
