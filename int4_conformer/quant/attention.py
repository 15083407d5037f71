"""Products of two activations in integers, as attention has them.

Both operands are quantized at run time, symmetrically, with one scale per row of the first and per
column of the second, so that as in Contract M the integer product comes first and all scales after:

    y = (a_codes b_codes) * a_scale * b_scale

Gradients are straight-through, at the quantized operands.
"""

import math
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.config import Backend, levels
from int4_conformer.quant.deploy import deployment
from int4_conformer.quant.matmul import int_matmul, portable_backend
from int4_conformer.quant.tensor import QTensor, quantize
from int4_conformer.quant.weight_einsum import Terms, transposed

Scheme = Literal["int8", "int4"]
_BITS = {"int8": 8, "int4": 4}


def activation_matmul(
    a: tf.Tensor,
    b: tf.Tensor,
    scheme: Scheme,
    *,
    transpose_b: bool = False,
    backend: Backend = "auto",
) -> tf.Tensor:
    """Multiplies two activations as integers.

    Args:
        a: float [..., m, k], quantized per row.
        b: float [..., k, n], or [..., n, k] with `transpose_b`, with the leading axes of `a`;
            quantized per column.
        scheme: "int8" or "int4".
        backend: as in `int_matmul`.

    Returns:
        float32 [..., m, n].

    Raises:
        UserError: the scheme has another name.
    """
    require_scheme(scheme)
    bits, axis = _BITS[scheme], -1 if transpose_b else -2
    a, b = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    rows, columns = quantize(a, bits, (-1,)), quantize(b, bits, (axis,))
    target = deployment()
    if target is not None and target.target == "float_twin":
        # No runtime has kernels for two operands that are quantized at run time.
        return tf.matmul(rows.dequantize(), columns.dequantize(), transpose_b=transpose_b)
    if target is not None:
        backend = portable_backend(a.shape[-1], levels(bits))

    @tf.custom_gradient
    def product(a: tf.Tensor, b: tf.Tensor):
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            used_a, used_b = rows.dequantize(), columns.dequantize()
            da = tf.matmul(dy, used_b, transpose_b=not transpose_b)
            operands = (dy, used_a) if transpose_b else (used_a, dy)
            return da, tf.matmul(*operands, transpose_a=True)

        return _integer_product(rows, columns, transpose_b, backend), gradient

    return product(a, b)


def activation_einsum(equation: str, a: tf.Tensor, b: tf.Tensor, scheme: Scheme) -> tf.Tensor:
    """Einsum of two activations by `activation_matmul`.

    Args:
        equation: such as "bthk,bshk->bhts"; axes of all three terms count matrices, those that
            the output lacks are summed over.
        a, b: float tensors, quantized with a scale per index of all axes that are not summed over.
        scheme: "int8" or "int4".

    Returns:
        float32, of the equation's output axes.

    Raises:
        ValueError: an axis is summed over in one operand alone, or a term repeats an axis.
        UserError: the scheme has another name.
    """
    terms = Terms.parse(equation, a.shape.rank)
    size = {
        axis: tf.shape(operand)[i] if operand.shape[i] is None else operand.shape[i]
        for operand, axes in ((a, terms.x), (b, terms.kernel))
        for i, axis in enumerate(axes)
    }

    def matrices(x: tf.Tensor, axes: Sequence[str], free: Sequence[str]) -> tf.Tensor:
        """[*shared, free, contracted], for which single axes need no known sizes."""
        groups = [*([axis] for axis in terms.shared), free, terms.contracted]
        x = transposed(x, axes, [axis for group in groups for axis in group])
        if all(len(group) == 1 for group in groups):
            return x
        return tf.reshape(x, [math.prod(size[axis] for axis in group) for group in groups])

    product = activation_matmul(
        matrices(a, terms.x, terms.x_free),
        matrices(b, terms.kernel, terms.kernel_free),
        scheme,
        transpose_b=True,
    )
    axes = terms.shared + terms.x_free + terms.kernel_free
    if len(axes) != product.shape.rank:
        product = tf.reshape(product, [size[axis] for axis in axes])
    return transposed(product, axes, terms.output)


def require_scheme(scheme: str) -> None:
    """Checks that products of two activations have this scheme.

    Raises:
        UserError: they do not.
    """
    if scheme not in _BITS:
        raise UserError(
            f"Products of two activations are quantized by {' or '.join(_BITS)}. "
            f"Received: {scheme!r}"
        )


def _integer_product(a: QTensor, b: QTensor, transpose_b: bool, backend: Backend) -> tf.Tensor:
    codes, scale = b.codes, b.scale
    if transpose_b:
        codes, scale = tf.linalg.matrix_transpose(codes), tf.linalg.matrix_transpose(scale)
    accumulator = int_matmul(a.codes, codes, b_limit=levels(b.bits), backend=backend)
    return tf.cast(accumulator, tf.float32) * a.scale * scale
