"""Einsum with a trained weight, in integers."""

import keras
import tensorflow as tf

from int4_conformer.layers.quantized import Quantized
from int4_conformer.quant.products.weight_einsum import Terms, einsum


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantEinsumDense(Quantized, keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` whose product is `quant.einsum`.

    Arguments and weights are those of the Keras layer, and `quant` as in `Quantized`.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> heads = QuantEinsumDense("btd,dhk->bthk", [None, 4, 16], bias_axes="hk", quant="w4a8")
        >>> keras.Model(inputs, heads(inputs))(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 4, 16])
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        terms = Terms.parse(self.equation, len(input_shape))
        self._add_quant_state({"kernel": terms.matrix_shape(self.kernel.shape)})
        free = terms.kernel_free
        # Otherwise the bias is not the same for all rows of the product.
        self._bias_per_channel = (
            self.bias is not None
            and len(self.bias.shape) <= len(free)
            and terms.output[len(terms.output) - len(free) :] == free
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        bias = self.bias if self._bias_per_channel else None
        outputs = self._quantized(
            lambda config, state: einsum(
                self.equation, inputs, self.kernel, config, bias=bias, state=state
            ),
            training,
        )
        if self.bias is not None and bias is None:
            outputs += tf.cast(self.bias, outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)
