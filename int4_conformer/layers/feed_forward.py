"""The Conformer's feed-forward module."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.branch_kernel import branch_initializer
from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.layer_norm import LayerNorm
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.quant.spec.recipe import Quant, as_recipe


@keras.saving.register_keras_serializable(package="int4_conformer")
class FeedForward(keras.layers.Layer):
    """Layer norm, expansion with swish, projection (arXiv 2005.08100, figure 4).

    Args:
        dim: width of input and output.
        hidden_dim: width between the two matmuls.
        dropout: rate after each matmul.
        branch_scale: factor of the first values of its last kernel (`layers.branch_kernel`).
        quant: how its dense layers are quantized (`as_recipe`), by the names `up` and `down`.

    Call: float [batch, time, dim] -> the same shape, without the residual.

    Example:

        >>> inputs = keras.Input([None, 64])
        >>> outputs = inputs + 0.5 * FeedForward(64, 256, quant="w4a8")(inputs)
        >>> keras.Model(inputs, outputs)(tf.zeros([2, 10, 64])).shape
        TensorShape([2, 10, 64])
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        *,
        dropout: float = 0.0,
        branch_scale: float = 1.0,
        quant: Quant = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.dim = dim
        self.hidden_dim = hidden_dim
        self.branch_scale = branch_scale
        self.recipe = as_recipe(quant)
        self.norm = LayerNorm(name="norm")
        self.up = QuantDense(hidden_dim, "silu", quant=self.recipe.at("up"), name="up")
        self.down = QuantDense(
            dim,
            kernel_initializer=branch_initializer(branch_scale),
            quant=self.recipe.at("down"),
            name="down",
        )
        self.dropout = Dropout(dropout)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.norm.build(input_shape)
        self.up.build(input_shape)
        self.down.build((*input_shape[:-1], self.hidden_dim))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = self.dropout(self.up(self.norm(x)), training=training)
        return self.dropout(self.down(x), training=training)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "dim": self.dim,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout.rate,
            "branch_scale": self.branch_scale,
            "quant": self.recipe.to_config(),
        }
