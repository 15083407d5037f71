"""Fully connected layer in integers."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.quant.config import QuantConfig
from int4_conformer.quant.ops import dot
from int4_conformer.quant.recipe import Recipe, resolve
from int4_conformer.quant.tensor import QTensor, quantize


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantDense(keras.layers.Layer):
    """`keras.layers.Dense` whose matmul is `quant.dot`.

    The weights are `kernel` [in, units] (float32 master weights, quantized with one scale per
    output in each call) and `bias` [units].

    Args:
        units: width of the output.
        activation: name or function, as in Keras.
        use_bias: whether to add a bias.
        quant: `QuantConfig`, `Recipe` (resolved at its path), a preset's name such as "w4a8", or
            None for float.
        kernel_initializer: as in Keras.

    Call: float [..., in] -> float [..., units].
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        quant: QuantConfig | Recipe | str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.quant = resolve(quant)
        self.frozen_kernel: QTensor | None = None
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=self.kernel_initializer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = self.kernel if self.frozen_kernel is None else self.frozen_kernel
        outputs = dot(inputs, kernel, self.quant)
        if self.use_bias:
            outputs += self.bias
        return self.activation(outputs)

    def quantized_kernel(self) -> QTensor:
        """The codes [in, units] and scales [1, units] that `call` multiplies by.

        Raises:
            ValueError: the kernel is not quantized.
        """
        if self.quant.weight_bits is None:
            raise ValueError(f"The kernel of {self.path} is float; there are no codes.")
        return quantize(self.kernel, self.quant.weight_bits, axes=(0,))

    def freeze(self) -> None:
        """From now on multiplies by the codes of this moment; the float kernel is out of use."""
        self.frozen_kernel = self.quantized_kernel()

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "quant": self.quant.to_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "QuantDense":
        return cls(**(config | {"quant": QuantConfig.from_config(config["quant"])}))
