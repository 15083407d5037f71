"""Embedding whose table can also serve as the output projection."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.layers.quantized import Quantized
from int4_conformer.quant.products.dot import dot, lookup
from int4_conformer.quant.products.loop_product import LoopProduct
from int4_conformer.shapes import sizes


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantEmbedding(Quantized, keras.layers.Embedding):
    """`keras.layers.Embedding` in integers, with one scale per row.

    The same codes serve look-up (`call`) and, transposed, the output projection of a tied model
    (`project`): a row's scale is the scale of that output channel. Arguments and weights are those
    of the Keras layer, and `quant` as in `Quantized`; look-ups use only its weight scheme.

    Call: int [...] -> float [..., output_dim].

    Example:

        >>> embedding = QuantEmbedding(1000, 64, quant="w4a8")
        >>> rows = embedding(tf.constant([[3, 1, 4]]))
        >>> embedding.project(rows).shape
        TensorShape([1, 3, 1000])
    """

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        super().build(input_shape)
        self._add_quant_state({"embeddings": self.embeddings.shape}, axis=1)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        ids = tf.reshape(tf.cast(inputs, tf.int32), [-1])
        rows = self._quantized(
            lambda config, state: lookup(ids, self.embeddings, config, state=state), training
        )
        return tf.reshape(rows, [*sizes(inputs), self.output_dim])

    def project(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Multiplies by the transposed table.

        Args:
            x: float [..., output_dim].

        Returns:
            float [..., input_dim].
        """
        return self._quantized(
            lambda config, state: dot(x, self.embeddings, config, transposed=True, state=state),
            training,
        )

    def in_loop(
        self,
        steps: Callable[[LoopProduct], Any],
        training: bool | None = None,
        bias: tf.Tensor | None = None,
    ) -> Any:
        """Calls a loop with the product of `project`, as `QuantDense.in_loop` does.

        Args:
            bias: float [input_dim], added to the product; or None.

        Returns:
            what `steps` returns.
        """
        return self._run(
            lambda config, state: steps(
                LoopProduct(self.embeddings, config, bias=bias, transposed=True, state=state)
            ),
            training,
        )
