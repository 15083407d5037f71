"""Embedding whose table can also serve as the output projection."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from int4_conformer.quant.config import QuantConfig
from int4_conformer.quant.ops import dot, sizes
from int4_conformer.quant.recipe import Recipe, resolve
from int4_conformer.quant.tensor import QTensor, quantize


@keras.saving.register_keras_serializable(package="int4_conformer")
class QuantEmbedding(keras.layers.Layer):
    """A table of vectors, one scale per row.

    The same codes serve look-up (`call`) and, transposed, the output projection of a tied model
    (`project`): a row's scale is the scale of that output channel.

    Args:
        input_dim: number of rows.
        output_dim: width of a row.
        quant: as in `QuantDense`; look-ups use only its weight width.

    Call: int [...] -> float [..., output_dim].
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        quant: QuantConfig | Recipe | str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.quant = resolve(quant)
        self.frozen_table: QTensor | None = None

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.output_dim**-0.5),
            name="embeddings",
        )

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        flat = self._rows(tf.reshape(ids, [-1]))
        return tf.reshape(flat, [*sizes(ids), self.output_dim])

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """Multiplies by the transposed table.

        Args:
            x: float [..., output_dim].

        Returns:
            float32 [..., input_dim].
        """
        if self.frozen_table is None:
            return dot(x, tf.transpose(self.embeddings), self.quant)
        table = self.frozen_table
        kernel = dataclasses.replace(
            table, codes=tf.transpose(table.codes), scale=tf.transpose(table.scale)
        )
        return dot(x, kernel, self.quant)

    def quantized_table(self) -> QTensor:
        """The codes [input_dim, output_dim] and scales [input_dim, 1] of the rows.

        Raises:
            ValueError: the table is not quantized.
        """
        if self.quant.weight_bits is None:
            raise ValueError(f"The table of {self.path} is float; there are no codes.")
        return quantize(self.embeddings, self.quant.weight_bits, axes=(1,))

    def freeze(self) -> None:
        """From now on uses the codes of this moment; the float table is not used again."""
        self.frozen_table = self.quantized_table()

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "quant": self.quant.to_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "QuantEmbedding":
        return cls(**(config | {"quant": QuantConfig.from_config(config["quant"])}))

    def _rows(self, ids: tf.Tensor) -> tf.Tensor:
        """Rows on their integer grid, with straight-through gradient: int [n] -> [n, dim]."""
        if self.frozen_table is not None:
            table = self.frozen_table
            codes = tf.cast(tf.gather(table.codes, ids), tf.float32)
            return codes * tf.gather(table.scale, ids)
        rows = tf.gather(tf.convert_to_tensor(self.embeddings), ids)
        if self.quant.weight_bits is None:
            return rows
        # A row is a channel of its own, so that only the rows looked up are quantized.
        snapped = quantize(rows, self.quant.weight_bits, axes=(1,)).dequantize()
        return _straight_through(rows, snapped)


@tf.custom_gradient
def _straight_through(x: tf.Tensor, snapped: tf.Tensor):
    """`snapped`, bit for bit, with the gradient of `x`; adding the rounding error would round."""
    return tf.identity(snapped), lambda dy: (dy, None)
