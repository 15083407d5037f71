"""LSTM in integers."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.quantized import Quantized
from int4_conformer.layers.recurrence import recurrence
from int4_conformer.quant.products.base import QuantState
from int4_conformer.quant.products.dot import before_loop, dot
from int4_conformer.quant.products.trained import products
from int4_conformer.quant.spec.quant_config import QuantConfig


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantLSTMCell(Quantized, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell` whose two matmuls are `quant.dot`.

    Arguments and weights are those of the Keras layer, and `quant` as in `Quantized`: one scheme
    for the kernel [in, 4 * units] and the recurrent kernel [units, 4 * units], with one scale per
    output each. 8 bits, such as "w8c_a8d", are recommended: errors of the recurrent kernel come
    back with every frame. A dropout mask is common to the four gates.

    `QuantLSTM` is this cell over a sequence; in `keras.layers.RNN`, which works too, each frame
    quantizes the kernels again, and counts as a step of its own.

    Call: float [batch, in] and states [h, c], each float [batch, units] -> h, [h, c].

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = keras.layers.RNN(QuantLSTMCell(32, quant="w8a8"))(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 32])
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.dropout_mask_count = None
        # While steps are taken: what multiplies by the recurrent kernel.
        self._recurrent_product: Callable[[tf.Tensor], tf.Tensor] | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self._add_quant_state(
            {"kernel": self.kernel.shape, "recurrent_kernel": self.recurrent_kernel.shape}
        )

    def call(
        self, inputs: tf.Tensor, states: Sequence[tf.Tensor], training: bool | None = False
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        if self._recurrent_product is not None:
            return self._step(inputs, states, training)
        if training and 0 < self.dropout < 1:
            inputs *= self.get_dropout_mask(inputs)
        # Drawn here if at all, since nothing that is drawn in a branch can be kept.
        self.get_recurrent_dropout_mask(states[0])
        return self.run(inputs, lambda inputs: self._step(inputs, states, training), training)

    def run(
        self, inputs: tf.Tensor, steps: Callable[[tf.Tensor], Any], training: bool | None
    ) -> Any:
        """Takes steps with kernels that are quantized once.

        Args:
            inputs: float [..., in].
            steps: is given the inputs' product with the kernel, [..., 4 * units], and may call
                the cell with a frame of it in place of inputs.

        Returns:
            what `steps` returns.
        """

        def product(config: QuantConfig, kernel_state: QuantState, recurrent_state: QuantState):
            projected = dot(inputs, self.kernel, config, bias=self.bias, state=kernel_state)
            recurrent = before_loop(self.recurrent_kernel, config, state=recurrent_state)
            self._recurrent_product = lambda h: dot(h, recurrent, config, state=recurrent_state)
            try:
                return steps(tf.cast(projected, self.compute_dtype))
            finally:
                self._recurrent_product = None

        return self._quantized(product, training)

    def _step(
        self, projected: tf.Tensor, states: Sequence[tf.Tensor], training: bool | None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        h, c = states
        if training and 0 < self.recurrent_dropout < 1:
            h *= self.get_recurrent_dropout_mask(h)
        z = projected + tf.cast(self._recurrent_product(h), projected.dtype)
        i, f, g, o = tf.split(z, 4, axis=1)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantLSTM(Quantized, keras.layers.LSTM):
    """`keras.layers.LSTM` in integers, with a `QuantLSTMCell`.

    Arguments and weights are those of the Keras layer, and `quant` as in `QuantLSTMCell`. All
    frames are multiplied by the kernel at once, and both kernels are quantized once per sequence,
    which is one step of the options that count steps.

    A TFLite file takes any batch and any time, also of a layer that returns sequences, which LiteRT
    cannot run of `keras.layers.LSTM` unless it is unrolled.

    Call: float [batch, time, in] -> what the Keras layer returns: float [batch, units], or
        [batch, time, units] with `return_sequences`, and the states with `return_state`.

    Raises:
        UserError: `use_cudnn` is True.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = QuantLSTM(32, return_sequences=True, quant="w8a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 32])
    """

    def __init__(self, *args: Any, use_cudnn: bool | str = "auto", **kwargs: Any):
        if use_cudnn is True:
            raise UserError(
                "cuDNN multiplies in float; leave `use_cudnn` out, or take keras.layers.LSTM. "
                "Received: use_cudnn=True"
            )
        super().__init__(*args, use_cudnn=False, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        # Of the cell that the Keras layer makes, its quantized counterpart takes the place.
        if type(value) is keras.layers.LSTMCell:
            value = QuantLSTMCell.from_config(
                value.get_config() | {"quant": self.quant.to_config()}
            )
        super().__setattr__(name, value)

    def inner_loop(
        self,
        sequences: tf.Tensor,
        initial_state: Sequence[tf.Tensor],
        mask: tf.Tensor | None,
        training: bool | None = False,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        if training and 0 < self.dropout < 1:
            sequences *= self.cell.get_dropout_mask(sequences[:, 0])[:, None]
        loop = super().inner_loop
        if not (products().trains or self.unroll):
            loop = self._deployed_loop
        return self.cell.run(
            sequences, lambda projected: loop(projected, initial_state, mask, training), training
        )

    def _deployed_loop(
        self,
        projected: tf.Tensor,
        initial_state: Sequence[tf.Tensor],
        mask: tf.Tensor | None,
        training: bool | None,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The loop of Keras in a form that LiteRT runs."""
        width = projected.shape[-1]
        if mask is not None:
            # Beside the frames, for one array to be read in the loop.
            real = tf.expand_dims(tf.cast(mask, projected.dtype), -1)
            projected = tf.concat([projected, real], axis=-1)
        frames = tf.reverse(projected, [1]) if self.go_backwards else projected

        def step(frame: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
            after = self.cell(frame[:, :width], states, training=training)[1]
            if mask is None:
                return after
            real = frame[:, width:] > 0
            return [tf.where(real, *pair) for pair in zip(after, states, strict=True)]

        outputs, states = recurrence(step, frames, list(initial_state))
        if mask is not None:
            real = frames[..., width:]
            # Padding has the outputs of the frame before, and none before the first.
            kept = real if self.zero_output_for_mask else tf.cumsum(real, axis=1)
            outputs = tf.where(kept > 0, outputs, 0.0)
        return outputs[:, -1], outputs, states
