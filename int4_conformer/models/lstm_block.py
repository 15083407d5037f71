"""LSTM block of RNN-T encoders, arXiv 1811.06621."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.frames import Frames
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_lstm import QuantLSTMCell
from int4_conformer.layers.recurrence import States, recurrence
from int4_conformer.layers.steppable import State
from int4_conformer.models.model_config import EncoderConfig
from int4_conformer.quant.spec.recipe import Recipe
from int4_conformer.shapes import sizes


class LSTMBlock(keras.layers.Layer):
    """LSTM of `expansion * dim` units, projection to `dim`, layer norm.

    What comes before a frame is in the state. What comes after it in its chunk, or in the whole
    utterance without chunks, is seen by a second LSTM of as many units, which runs backward from
    the chunk's last real frame: the latency-controlled bidirectional LSTM of arXiv 1510.08983.

    Args:
        config: sizes.
        chunk: as in `layers.frames`.
        recipe: quantization recipe at this layer's path.

    Call: x float [batch, time, dim], `Frames` of which padding is at the end -> [batch, time, dim].
    """

    def __init__(self, config: EncoderConfig, chunk: int | None, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        self.chunk = chunk
        self.units = config.expansion * config.dim
        self.forward, self.backward = (
            QuantLSTMCell(self.units, quant=recipe.at(name), name=name) if wanted else None
            for name, wanted in (("forward", True), ("backward", chunk != 1))
        )
        self.projection = QuantDense(config.dim, quant=recipe.at("projection"), name="projection")
        self.dropout = Dropout(config.dropout)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        # Cells are run, not called.
        for cell in (self.forward, self.backward):
            if cell is not None:
                cell.build((input_shape[0], input_shape[2]))

    def call(self, x: tf.Tensor, frames: Frames, training: bool = False) -> tf.Tensor:
        y, _ = _run(self.forward, x, None, training)
        return self._projected(x, y, frames.mask, training)

    def initial_state(self, batch: int, left_context: int) -> State:
        """`h` and `c` float [batch, units] of the LSTM, whatever the left context."""
        return {name: tf.zeros([batch, self.units]) for name in ("h", "c")}

    def step(self, x: tf.Tensor, frames: Frames, state: State) -> tuple[tf.Tensor, State]:
        """As `call`, for a piece."""
        y, (h, c) = _run(self.forward, x, [state["h"], state["c"]], training=False)
        return self._projected(x, y, frames.mask, training=False), {"h": h, "c": c}

    def _projected(
        self, x: tf.Tensor, y: tf.Tensor, mask: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        """From the outputs `y` of the forward LSTM on."""
        if self.backward is not None:
            y = tf.concat([y, self._run_backward(x, mask, training)], axis=-1)
        return self.norm(self.dropout(self.projection(y), training=training))

    def _run_backward(self, x: tf.Tensor, mask: tf.Tensor | None, training: bool) -> tf.Tensor:
        shape = [*sizes(x)[:2], self.units]
        if self.chunk is not None:
            # All chunks at once.
            x = tf.reshape(x, [-1, self.chunk, x.shape[2]])
            mask = None if mask is None else tf.reshape(mask, [-1, self.chunk])
        y, _ = _run(self.backward, _reversed(x, mask), None, training)
        return tf.reshape(_reversed(y, mask), shape)


def _run(
    cell: QuantLSTMCell, x: tf.Tensor, states: States | None, training: bool
) -> tuple[tf.Tensor, States]:
    """Outputs [batch, time, units] and last states of a cell; None is the state zero."""

    def steps(projected: tf.Tensor) -> tuple[tf.Tensor, States]:
        zeros = tf.zeros_like(projected[:, 0, : cell.units])
        return recurrence(
            lambda frame, states: cell(frame, states, training=training)[1],
            projected,
            states or [zeros, zeros],
        )

    return cell.run(x, steps, training)


def _reversed(x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """The real frames in reverse order, padding where it was."""
    if mask is None:
        return tf.reverse(x, [1])
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    return tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0)
