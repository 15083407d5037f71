"""Embedding whose table can also serve as the output projection."""

from typing import Any

import keras
import tensorflow as tf

from int4_conformer.quant.config import QuantConfig
from int4_conformer.quant.ops import dot
from int4_conformer.quant.recipe import Recipe, resolve
from int4_conformer.quant.tensor import quantize


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

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.output_dim**-0.5),
            name="embeddings",
        )

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        flat = tf.gather(self._snapped_table(), tf.reshape(ids, [-1]))
        rows = [-1 if size is None else size for size in ids.shape]
        return tf.reshape(flat, [*rows, self.output_dim])

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """Multiplies by the transposed table.

        Args:
            x: float [..., output_dim].

        Returns:
            float32 [..., input_dim].
        """
        return dot(x, tf.transpose(self.embeddings), self.quant)

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

    def _snapped_table(self) -> tf.Tensor:
        """The table on its integer grid, with straight-through gradient; [input_dim, dim]."""
        table = tf.convert_to_tensor(self.embeddings)
        if self.quant.weight_bits is None:
            return table

        @tf.custom_gradient
        def snap(table: tf.Tensor):
            return quantize(table, self.quant.weight_bits, axes=(1,)).dequantize(), lambda dy: dy

        return snap(table)
