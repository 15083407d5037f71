"""Einsum with a trained weight, in integers."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.quant.config import QuantConfig
from int4_conformer.quant.ops import einsum
from int4_conformer.quant.recipe import Recipe, resolve


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantEinsumDense(keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` whose product is `quant.einsum`.

    Arguments and weights are those of the Keras layer, and `quant` as in `QuantDense`.
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        quant: QuantConfig | Recipe | str | None = None,
        **kwargs: Any,
    ):
        super().__init__(equation, output_shape, **kwargs)
        self.quant = resolve(quant)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = einsum(self.equation, inputs, self.kernel, self.quant)
        if self.bias is not None:
            outputs += self.bias
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"quant": self.quant.to_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "QuantEinsumDense":
        return cls(**(config | {"quant": QuantConfig.from_config(config["quant"])}))
