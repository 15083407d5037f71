"""The Conformer's feed-forward module."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.composite import Composite
from int4_conformer.layers.dropout import Dropout
from int4_conformer.layers.quant_dense import QuantDense
from int4_conformer.quant.spec.recipe import Recipe


class FeedForward(Composite, keras.layers.Layer):
    """Layer norm, expansion with swish, projection (arXiv 2005.08100, figure 4).

    Args:
        dim: width of input and output.
        hidden_dim: width between the two matmuls.
        dropout: rate after each matmul.
        recipe: quantization recipe at this layer's path.

    Call: float [batch, time, dim] -> the same shape, without the residual.
    """

    def __init__(self, dim: int, hidden_dim: int, dropout: float, recipe: Recipe, **kwargs: Any):
        super().__init__(**kwargs)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.up = QuantDense(hidden_dim, "silu", quant=recipe.at("up"), name="up")
        self.down = QuantDense(dim, quant=recipe.at("down"), name="down")
        self.dropout = Dropout(dropout)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = self.dropout(self.up(self.norm(x)), training=training)
        return self.dropout(self.down(x), training=training)
