"""Convolutions in integers."""

import math
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.layers.quantized import Quantized
from int4_conformer.quant.products.convolutions import conv1d, conv2d, depthwise_conv1d
from int4_conformer.quant.spec.quant_config import QuantConfig


class _QuantConv(Quantized):
    """What quantized convolutions share."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.data_format != "channels_last":
            raise UserError(
                "Quantized convolutions take channels last only, as LiteRT does; transpose the "
                f"input. Received: data_format={self.data_format!r}"
            )
        if getattr(self, "groups", 1) != 1:
            raise UserError(
                "Quantized convolutions have no groups; use a layer for each group. "
                f"Received: groups={self.groups}"
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        columns = math.prod(self.kernel.shape[self._first_column_axis :])
        self._add_quant_state({"kernel": (math.prod(self.kernel.shape) // columns, columns)})

    # The axis of the kernel from which on its axes are the columns of the matrix.
    _first_column_axis = -1

    def _activated(self, outputs: tf.Tensor) -> tf.Tensor:
        return outputs if self.activation is None else self.activation(outputs)


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantConv1D(_QuantConv, keras.layers.Conv1D):
    """`keras.layers.Conv1D` whose product is `quant.conv1d`.

    Arguments and weights are those of the Keras layer, but for `groups` and `data_format`, and
    `quant` as in `Quantized`. The kernel [taps, in, filters] stays float32 and is quantized with
    one scale per filter in each call; activations are quantized per patch.

    Call: float [batch, time, in] -> float [batch, time', filters].

    Raises:
        UserError: there are groups, or channels come first.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = QuantConv1D(32, 3, strides=2, padding="causal", quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 5, 32])
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = self._quantized(
            lambda config, state: conv1d(
                inputs,
                self.kernel,
                config,
                stride=self.strides[0],
                padding=self.padding,
                dilation=self.dilation_rate[0],
                bias=self.bias,
                state=state,
            ),
            training,
        )
        return self._activated(outputs)


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantConv2D(_QuantConv, keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose product is `quant.conv2d`, as in `QuantConv1D`.

    Call: float [batch, height, width, in] -> float [batch, height', width', filters].

    Raises:
        UserError: there are groups, or channels come first.

    Example:

        >>> inputs = keras.Input([28, 28, 3])
        >>> outputs = QuantConv2D(32, 3, activation="relu", quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 28, 28, 3])).shape
        TensorShape([2, 26, 26, 32])
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = self._quantized(
            lambda config, state: conv2d(
                inputs,
                self.kernel,
                config,
                strides=self.strides,
                padding=self.padding,
                dilations=self.dilation_rate,
                bias=self.bias,
                state=state,
            ),
            training,
        )
        return self._activated(outputs)


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantDepthwiseConv1D(_QuantConv, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` whose kernel is quantized: `quant.depthwise_conv1d`.

    Arguments and weights are those of the Keras layer, but for `data_format`, and `quant` as in
    `Quantized`. The kernel [taps, channels, multiplier] has one scale per output channel, for which
    8 bits are recommended: there are few weights to save on. Activations stay float.

    Call: float [batch, time, channels] -> float [batch, time', channels * multiplier].

    Raises:
        UserError: channels come first, or `quant` has integer activations (when called).

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = QuantDepthwiseConv1D(15, padding="same", quant="w8c")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    _first_column_axis = 1

    def stored_bytes(self, config: QuantConfig | None = None) -> int:
        # A file holds the values, for want of kernels that take integers (`quant.conv`).
        return super().stored_bytes(QuantConfig())

    def padded_inputs(self) -> dict[str, tuple[int, int]]:
        return {}

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = self._quantized(
            lambda config, state: depthwise_conv1d(
                inputs,
                self.kernel,
                config,
                stride=self.strides[0],
                padding=self.padding,
                dilation=self.dilation_rate[0],
                bias=self.bias,
                state=state,
            ),
            training,
        )
        return self._activated(outputs)
