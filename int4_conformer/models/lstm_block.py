"""LSTM block of RNN-T encoders, arXiv 1811.06621."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.frames import Frames
from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.layers.quant_lstm import QuantLSTMCell
from int4_conformer.layers.recurrence import States, recurrence
from int4_conformer.layers.steppable import State, Steppable
from int4_conformer.quant.spec.recipe import Quant, as_recipe
from int4_conformer.shapes import sizes


@keras.saving.register_keras_serializable(package="int4_conformer")
class LSTMBlock(Steppable, keras.layers.Layer):
    """LSTM, projection to `dim`, layer norm.

    What comes before a frame is in the state. What comes after it in its chunk, or in the whole
    utterance without chunks, is seen by a second LSTM of as many units, which runs backward from
    the chunk's last real frame: the latency-controlled bidirectional LSTM of arXiv 1510.08983.

    Args:
        dim: width of input and output.
        units: of each LSTM.
        chunk: as in `layers.frames`.
        dropout: rate at the end.
        quant: how it is quantized (`as_recipe`), by the names `forward`, `backward` and
            `projection`.

    Call: x float [batch, time, dim], padding_mask bool [batch, time] (False: padding, at the end)
        or None -> [batch, time, dim].

    State: `h` and `c` float [batch, units].

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = LSTMBlock(64, 128, chunk=1, quant="w8a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        units: int,
        *,
        chunk: int | None = None,
        dropout: float = 0.0,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.units = units
        self.chunk = chunk
        self.recipe = as_recipe(quant)
        self.forward, self.backward = (
            QuantLSTMCell(units, quant=self.recipe.at(name), name=name) if wanted else None
            for name, wanted in (("forward", True), ("backward", chunk != 1))
        )
        self.projection = QuantDense(dim, quant=self.recipe.at("projection"), name="projection")
        self.dropout = Dropout(dropout)
        self.norm = LayerNorm(name="norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        cells = [cell for cell in (self.forward, self.backward) if cell is not None]
        for cell in cells:
            cell.build((input_shape[0], input_shape[2]))
        self.projection.build((*input_shape[:2], len(cells) * self.units))
        self.norm.build(input_shape)

    @property
    def segment_multiple(self) -> int:
        return self.chunk or 1

    def initial_state(self, batch: int) -> State:
        return {name: tf.zeros([batch, self.units]) for name in ("h", "c")}

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        before = None if state is None else [state["h"], state["c"]]
        y, (h, c) = _run(self.forward, x, before, training)
        if self.backward is not None:
            y = tf.concat([y, self._run_backward(x, padding_mask, training)], axis=-1)
        y = self.norm(self.dropout(self.projection(y), training=training))
        return y, None if state is None else {"h": h, "c": c}

    # As blocks that see frames (`SeesFrames`) have them.

    def initial_memory(self, batch: int) -> State:
        return self.initial_state(batch)

    def advance_frames(
        self, x: tf.Tensor, frames: Frames, memory: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        return self.advance(x, frames.mask, memory, training)

    def _run_backward(self, x: tf.Tensor, mask: tf.Tensor | None, training: bool) -> tf.Tensor:
        shape = [*sizes(x)[:2], self.units]
        if self.chunk is not None:
            # All chunks at once.
            x = tf.reshape(x, [-1, self.chunk, x.shape[2]])
            mask = None if mask is None else tf.reshape(mask, [-1, self.chunk])
        y, _ = _run(self.backward, _reversed(x, mask), None, training)
        return tf.reshape(_reversed(y, mask), shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "dim": self.dim,
            "units": self.units,
            "chunk": self.chunk,
            "dropout": self.dropout.rate,
            "quant": self.recipe.to_config(),
        }


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
