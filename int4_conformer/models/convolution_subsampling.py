"""Fewer frames by strided convolutions, arXiv 2005.08100, section 2."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.quant_conv import QuantConv2D
from int4_conformer.layers.steppable import State, Steppable, follow
from int4_conformer.quant.spec.recipe import Quant, as_recipe
from int4_conformer.shapes import sizes


@keras.saving.register_keras_serializable(package="int4_conformer")
class ConvolutionSubsampling(Steppable, keras.layers.Layer):
    """Convolutions of 3 x 3 with stride 2 and ReLU, each of which halves time and frequency.

    Over time they look back only: to one frame before the two that make an output.

    Args:
        factor: feature frames that make one frame; a power of two.
        bins: features of a frame; a multiple of `factor`.
        channels: of every convolution.
        quant: how they are quantized (`as_recipe`), by the names `convolution_0`, ...

    Call: float [batch, time * factor, bins] -> [batch, time, bins / factor * channels]; a mask
        changes nothing.

    State: `convolution_i` float [batch, 1, bins / 2^i, channels], the frame before the segment.

    Raises:
        UserError: `factor` is no power of two, or does not divide `bins`.

    Example:

        >>> inputs = keras.Input([None, 80])
        >>> outputs = ConvolutionSubsampling(4, 80, 16, quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 40, 80])).shape
        TensorShape([2, 10, 320])
    """

    def __init__(
        self, factor: int, bins: int, channels: int, *, quant: Quant = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        if factor < 2 or factor & (factor - 1) or bins % factor:
            raise UserError(
                "Subsampling by convolutions halves frames and bins; `stack` must be a power of "
                f"two that divides `mel_bins`. Received: stack={factor}, mel_bins={bins}"
            )
        self.factor = factor
        self.bins = bins
        self.channels = channels
        self.recipe = as_recipe(quant)
        self.convolutions = [
            QuantConv2D(channels, 3, 2, activation="relu", quant=self.recipe.at(name), name=name)
            for name in (f"convolution_{i}" for i in range(factor.bit_length() - 1))
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for i, layer in enumerate(self.convolutions):
            layer.build((input_shape[0], None, (self.bins >> i) + 1, self.channels if i else 1))

    def initial_state(self, batch: int) -> State:
        return {
            layer.name: tf.zeros([batch, 1, self.bins >> i, self.channels if i else 1])
            for i, layer in enumerate(self.convolutions)
        }

    def advance(
        self, x: tf.Tensor, padding_mask: tf.Tensor | None, state: State | None, training: bool
    ) -> tuple[tf.Tensor, State | None]:
        x, after = x[..., None], {}
        for convolution in self.convolutions:
            name = convolution.name
            x, after[name] = follow(state and state[name], x, 1)
            x = convolution(tf.pad(x, [[0, 0], [0, 0], [1, 0], [0, 0]]))
        x = tf.reshape(x, [*sizes(x)[:2], x.shape[2] * x.shape[3]])
        return x, None if state is None else after

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "factor": self.factor,
            "bins": self.bins,
            "channels": self.channels,
            "quant": self.recipe.to_config(),
        }
