"""Float products whose backward pass runs in a type of its own."""

import tensorflow as tf

from int4_conformer.quant.config import QuantConfig


def float_matmul(x: tf.Tensor, weight: tf.Tensor, axis: int, config: QuantConfig) -> tf.Tensor:
    """Multiplies in float32; the two products of the backward pass have `config.backward_dtype`.

    Args:
        x: float32 [rows, in].
        weight: float32 [in, out], or [out, in] with `axis` 1.

    Returns:
        float32 [rows, out].
    """
    dtype = tf.as_dtype(config.backward_dtype)

    @tf.custom_gradient
    def product(x: tf.Tensor, weight: tf.Tensor):
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            operands = (x, dy) if axis == 0 else (dy, x)
            return (
                matmul_in(dtype, dy, weight, transpose_b=axis == 0),
                matmul_in(dtype, *operands, transpose_a=True),
            )

        return tf.matmul(x, weight, transpose_b=axis == 1), gradient

    return product(x, weight)


def matmul_in(dtype: tf.DType, a: tf.Tensor, b: tf.Tensor, **transposes: bool) -> tf.Tensor:
    """float32 product of operands cast to `dtype`."""
    return tf.cast(tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **transposes), tf.float32)
