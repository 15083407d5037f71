"""Quantized products with straight-through gradients: Contracts M and G.

Forward, `y = x w` with `x` in rows of integers and `w` in integers per output channel:

    y = (x_codes w_codes - zero_point * column_sums(w_codes)) * x_scale * w_scale

Backward, rounding counts as the identity (straight-through, Bengio et al., arXiv 1308.3432), taken
at the quantized operands:

    dx = dy w_deq^T          dw = x_deq^T dy

No clipping mask is needed: scales come from the maximum, so nothing is clipped. With
`scale_gradient`, `dw` also carries the scale's own derivative: the scale is max|w|/L, hence
d(w_deq)/d(scale) = codes - w/scale reaches the largest weight of the channel with factor sign(w)/L.
"""

import dataclasses

import tensorflow as tf

from int4_conformer.quant.activations import QRows, quantize_rows
from int4_conformer.quant.config import QuantConfig, levels
from int4_conformer.quant.matmul import int_matmul, portable_backend
from int4_conformer.quant.tensor import QTensor, quantize


def dot(x: tf.Tensor, kernel: tf.Tensor | QTensor, config: QuantConfig) -> tf.Tensor:
    """Multiplies the last axis of `x` by `kernel`.

    Args:
        x: float [..., in].
        kernel: float [in, out], quantized here with one scale per output channel; or such a
            `QTensor`, which has no gradient.

    Returns:
        float32 [..., out].
    """
    x = tf.cast(x, tf.float32)
    if isinstance(kernel, QTensor):
        width, columns = kernel.codes.shape
        if config.backend == "auto":
            # Fixed codes are for serving, where there may be no XLA.
            backend = portable_backend(width, levels(kernel.bits))
            config = dataclasses.replace(config, backend=backend)
        product = _product(tf.reshape(x, [-1, width]), kernel, config)[0]
    else:
        kernel = tf.convert_to_tensor(kernel)
        if config.weight_bits is None and config.activation == "float":
            return tf.matmul(x, kernel)
        width, columns = kernel.shape
        product = _straight_through_dot(tf.reshape(x, [-1, width]), kernel, config)
    return tf.reshape(product, [*sizes(x)[:-1], columns])


def einsum(equation: str, x: tf.Tensor, kernel: tf.Tensor, config: QuantConfig) -> tf.Tensor:
    """Einsum of an activation with a weight, one scale per output channel of the weight.

    Args:
        equation: such as "btd,dhk->bthk" or "...hk,hkd->...d"; the contraction axes are those
            that the output lacks.
        x: float tensor, the first operand.
        kernel: float tensor, the second operand.

    Raises:
        ValueError: an axis of the weight is in all three terms (a batch axis), an axis is summed
            over in one operand alone, or a term repeats an axis.
    """
    inputs, output = equation.replace(" ", "").split("->")
    x_axes, kernel_axes = inputs.split(",")
    rows = [f"<{i}>" for i in range(len(x.shape) - len(x_axes.replace("...", "")))]
    x_axes, output_axes = _expand(x_axes, rows), _expand(output, rows)
    contracted = [axis for axis in kernel_axes if axis in x_axes]
    x_free = [axis for axis in x_axes if axis not in contracted]
    kernel_free = [axis for axis in kernel_axes if axis not in contracted]
    if sorted(x_free + kernel_free) != sorted(output_axes) or any(
        len(set(axes)) < len(axes) for axes in (x_axes, kernel_axes, output_axes)
    ):
        raise ValueError(
            "`equation` must contract each axis that its operands share and keep all others. "
            f"Received: {equation!r}"
        )
    matrix = _transpose(kernel, list(kernel_axes), contracted + kernel_free)
    free_shape = matrix.shape[len(contracted) :].as_list()
    matrix = tf.reshape(matrix, [matrix.shape[: len(contracted)].num_elements(), -1])
    x = _transpose(x, x_axes, x_free + contracted)
    outer = tf.unstack(tf.shape(x)[: len(x_free)])
    outer = [static or dynamic for static, dynamic in zip(x.shape, outer, strict=False)]
    product = dot(tf.reshape(x, [*outer, matrix.shape[0]]), matrix, config)
    product = tf.reshape(product, [*outer, *free_shape])
    return _transpose(product, x_free + kernel_free, output_axes)


def sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """The shape of `x` as `tf.reshape` takes it: -1 if one axis is unknown, tensors if more are."""
    unknown = [-1] * x.shape.rank if x.shape.as_list().count(None) < 2 else tf.unstack(tf.shape(x))
    return [u if size is None else size for size, u in zip(x.shape, unknown, strict=True)]


def _expand(axes: str, rows: list[str]) -> list[str]:
    """Names of the axes, with the ellipsis spelled out."""
    head, dots, tail = axes.partition("...")
    return [*head, *(rows if dots else []), *tail]


def _transpose(x: tf.Tensor, axes: list[str], wanted: list[str]) -> tf.Tensor:
    if axes == wanted:
        return tf.convert_to_tensor(x)
    return tf.transpose(x, [axes.index(axis) for axis in wanted])


def _straight_through_dot(x: tf.Tensor, kernel: tf.Tensor, config: QuantConfig) -> tf.Tensor:
    """`dot` on matrices, at least one of them quantized."""

    @tf.custom_gradient
    def product(x: tf.Tensor, kernel: tf.Tensor):
        weight = (
            None if config.weight_bits is None else quantize(kernel, config.weight_bits, axes=(0,))
        )
        y, rows = _product(x, kernel if weight is None else weight, config)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            used_x = x if rows is None else rows.dequantize()
            used_kernel = kernel if weight is None else weight.dequantize()
            dx = _backward_matmul(dy, used_kernel, config, transpose_b=True)
            dw = _backward_matmul(used_x, dy, config, transpose_a=True)
            if config.scale_gradient and weight is not None:
                dw += _through_scale(dw, kernel, weight)
            return dx, dw

        return y, gradient

    return product(x, kernel)


def _product(
    x: tf.Tensor, kernel: tf.Tensor | QTensor, config: QuantConfig
) -> tuple[tf.Tensor, QRows | None]:
    """The product of matrices, and the quantized rows of `x` unless they stay float."""
    rows = None if config.activation == "float" else quantize_rows(x, config.activation)
    if rows is not None and isinstance(kernel, QTensor):
        return _integer_product(rows, kernel, config), rows
    x = x if rows is None else rows.dequantize()
    kernel = kernel.dequantize() if isinstance(kernel, QTensor) else kernel
    return tf.matmul(x, kernel), rows


def _integer_product(rows: QRows, weight: QTensor, config: QuantConfig) -> tf.Tensor:
    accumulator = int_matmul(
        rows.codes, weight.codes, b_limit=levels(weight.bits), backend=config.backend
    )
    if rows.zero_point is not None:
        column_sums = tf.reduce_sum(tf.cast(weight.codes, tf.int32), axis=0, keepdims=True)
        accumulator -= rows.zero_point * column_sums
    return tf.cast(accumulator, tf.float32) * rows.scale * weight.scale


def _backward_matmul(a: tf.Tensor, b: tf.Tensor, config: QuantConfig, **transposes) -> tf.Tensor:
    if config.backward_dtype == "float32":
        return tf.matmul(a, b, **transposes)
    dtype = tf.as_dtype(config.backward_dtype)
    return tf.cast(tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **transposes), tf.float32)


def _through_scale(dw: tf.Tensor, kernel: tf.Tensor, weight: QTensor) -> tf.Tensor:
    """The part of the kernel's gradient that flows through its scale, shape [in, out]."""
    error = tf.cast(weight.codes, tf.float32) - kernel / weight.scale
    d_scale = tf.reduce_sum(dw * error, axis=0, keepdims=True)
    magnitude = tf.abs(kernel)
    largest = tf.cast(magnitude == tf.reduce_max(magnitude, axis=0, keepdims=True), tf.float32)
    # Equal maxima share the gradient, as reduce_max's own derivative does.
    share = largest / tf.reduce_sum(largest, axis=0, keepdims=True)
    return d_scale * share * tf.sign(kernel) / levels(weight.bits)
