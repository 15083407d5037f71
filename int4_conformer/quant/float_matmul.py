"""Float products whose backward pass runs in a type of its own."""

import tensorflow as tf

from int4_conformer.quant.config import QuantConfig


def float_matmul(x: tf.Tensor, weight: tf.Tensor, axis: int, config: QuantConfig) -> tf.Tensor:
    """Multiplies in the type of `x`; the two products of the backward pass have the narrower of
    that and `config.backward_dtype`. Sums are kept in float32.

    Args:
        x: float32 or bfloat16 [rows, in].
        weight: float32 [in, out], or [out, in] with `axis` 1.

    Returns:
        float32 [rows, out].
    """
    forward = x.dtype
    backward = forward if forward == tf.bfloat16 else tf.as_dtype(config.backward_dtype)

    @tf.custom_gradient
    def product(x: tf.Tensor, weight: tf.Tensor):
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            operands = (x, dy) if axis == 0 else (dy, x)
            dx = matmul_in(backward, dy, weight, transpose_b=axis == 0)
            return tf.cast(dx, forward), matmul_in(backward, *operands, transpose_a=True)

        return matmul_in(forward, x, weight, transpose_b=axis == 1), gradient

    return product(x, weight)


def matmul_in(dtype: tf.DType, a: tf.Tensor, b: tf.Tensor, **transposes: bool) -> tf.Tensor:
    """float32 product of operands cast to `dtype`."""
    return tf.cast(tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **transposes), tf.float32)
