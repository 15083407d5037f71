"""The encoder: from feature frames to what the joint network sees of them."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.composite import Composite
from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.frames import Span
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.steppable import State, named, of_part
from int4_conformer.models.conformer_block import ConformerBlock
from int4_conformer.models.convolution_subsampling import ConvolutionSubsampling
from int4_conformer.models.lstm_block import LSTMBlock
from int4_conformer.models.model_config import EncoderConfig
from int4_conformer.models.transformer_block import TransformerBlock
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.shapes import sizes


class Encoder(Composite, keras.layers.Layer):
    """Projects frames and runs blocks: Conformer, Transformer or LSTM.

    Stacked feature frames are projected by a dense layer where arXiv 2005.08100 has strided
    convolutions, which `subsampling` can be, too. A second pass is given the frames of the first,
    one by one.

    Args:
        config: sizes, and what the frames see.
        stack: input frames that make one.
        bins: features of an input frame.
        recipe: quantization recipe at this layer's path.

    Call: float [batch, time * stack, bins], padding_mask bool [batch, time] (False: padding) or
        None -> [batch, time, dim]; half as many frames with `reduce_after`. The time is a multiple
        of `config.segment` and of `config.reduction`.

    Raises:
        UserError: it is not.
    """

    def __init__(self, config: EncoderConfig, stack: int, bins: int, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        self.stack = stack
        self.subsampling = None
        if config.subsampling == "convolution":
            self.subsampling = ConvolutionSubsampling(
                stack, bins, config.dim, recipe.at("subsampling"), name="subsampling"
            )
        self.input_dense = QuantDense(config.dim, quant=recipe.at("input"), name="input")
        self.input_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="input_norm")
        self.dropout = Dropout(config.dropout)
        if config.reduce_after is not None:
            self.reduction = QuantDense(config.dim, quant=recipe.at("reduction"), name="reduction")
        left_context = config.left_context
        if config.kind == "lstm":
            # Its states hold what they need of the frames before a piece.
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
            self._block(i, recipe.at(f"block_{i}"), f"block_{i}") for i in range(config.blocks)
        ]

    def call(
        self, features: tf.Tensor, padding_mask: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        x = self._stacked(features) if self.subsampling is None else self.subsampling(features)
        whole = self.config.segment or self.config.reduction
        if x.shape[1] is not None and x.shape[1] % whole:
            raise UserError(
                f"An utterance must have a multiple of {whole} frames, whole chunks and pairs; pad "
                f"it, and mask the padding. Received: {x.shape[1]} frames"
            )
        x = self.dropout(self.input_norm(self.input_dense(x)), training=training)
        frames = self.spans[0].whole(x, padding_mask)
        for i, block in enumerate(self.blocks):
            if i == self.config.reduce_after:
                x, padding_mask = self._reduced(x, padding_mask)
                frames = self.spans[1].whole(x, padding_mask)
            x = block(x, frames=frames, training=training)
        return x

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
        for i, block in enumerate(self.blocks):
            left_context = self.spans[self._rate(i)].left_context
            state |= named(block.name, block.initial_state(batch, left_context))
        return state

    def step(self, features: tf.Tensor, mask: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """As `call`, for a piece.

        Args:
            features: float [batch, time * stack, bins], the time a multiple of `config.segment`.
            mask: bool [batch, time].
            state: of the piece before.

        Raises:
            UserError: the piece has another length.
        """
        after: State = {}
        if self.subsampling is None:
            x = self._stacked(features)
        else:
            x, part = self.subsampling.step(features, of_part(state, "subsampling"))
            after |= named("subsampling", part)
        x = self.input_norm(self.input_dense(x))
        frames = None
        for i, block in enumerate(self.blocks):
            if i == self.config.reduce_after:
                x, mask = self._reduced(x, mask)
            if i in (0, self.config.reduce_after):
                rate = self._rate(i)
                frames, part = self.spans[rate].step(x, mask, of_part(state, f"span_{rate}"))
                after |= named(f"span_{rate}", part)
            x, part = block.step(x, frames, of_part(state, block.name))
            after |= named(block.name, part)
        return x, after

    def _rate(self, i: int) -> int:
        """Index of the span of block `i`."""
        return int(self.config.reduce_after is not None and i >= self.config.reduce_after)

    def _block(self, i: int, recipe: Recipe, name: str) -> keras.layers.Layer:
        chunk = self.spans[self._rate(i)].chunk
        if self.config.kind == "transformer":
            return TransformerBlock(self.config, chunk, recipe, name=name)
        if self.config.kind == "lstm":
            return LSTMBlock(self.config, chunk, recipe, name=name)
        attends = i >= self.config.convolution_blocks
        return ConformerBlock(self.config, chunk, recipe, attends, name=name)

    def _stacked(self, features: tf.Tensor) -> tf.Tensor:
        if self.stack == 1:
            return features
        return _neighbours(features, self.stack)

    def _reduced(self, x: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Every two frames as one; it is real if the first of the two is."""
        count = self.config.reduction
        if mask is None:
            return self.reduction(_neighbours(x, count)), None
        # The last real frame of an odd number has padding for a neighbour.
        x *= tf.cast(mask, x.dtype)[:, :, None]
        return self.reduction(_neighbours(x, count)), mask[:, ::count]


def _neighbours(x: tf.Tensor, count: int) -> tf.Tensor:
    """[batch, time, dim] -> [batch, time / count, count * dim]."""
    batch, time, dim = sizes(x)
    if not (isinstance(time, int) and time < 0):
        time //= count
    return tf.reshape(x, [batch, time, dim * count])
