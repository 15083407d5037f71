"""Fully connected layer in integers."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.quantized import Quantized
from int4_conformer.quant.products.dot import dot
from int4_conformer.quant.products.loop_product import LoopProduct


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantDense(Quantized, keras.layers.Dense):
    """`keras.layers.Dense` whose matmul is `quant.dot`.

    Arguments and weights are those of the Keras layer, and `quant` as in `Quantized`. The kernel
    [in, units] stays float32 and is quantized with one scale per output in each call.

    Call: float [..., in] -> float [..., units].

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = QuantDense(32, "silu", quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 32])
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self._add_quant_state({"kernel": self.kernel.shape})

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        outputs = self._quantized(
            lambda config, state: dot(inputs, self.kernel, config, bias=self.bias, state=state),
            training,
        )
        return outputs if self.activation is None else self.activation(outputs)

    def in_loop(self, steps: Callable[[LoopProduct], Any], training: bool | None = None) -> Any:
        """Calls a loop with the layer's product, without its activation function.

        The kernel is quantized once, which is one step of the options that count steps.

        Returns:
            what `steps` returns.
        """
        return self._run(
            lambda config, state: steps(
                LoopProduct(self.kernel, config, bias=self.bias, state=state)
            ),
            training,
        )
