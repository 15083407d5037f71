"""Products of two activations in integers, as attention has them.

Both operands are quantized at run time, symmetrically: the first with a scale per row, the second
with a scale per column, so that as with weights all scales come after the integer product,

    y = (a_codes b_codes) * a_scale * b_scale

or with a scale per row, which goes into the first operand before that is quantized:

    y = (codes of (a * b_scale^T)) b_codes * a_scale

In attention, a row of the values is a frame. With a scale for each, frames that a mask gives no
weight have no influence on the others, as they would have on the largest value of a column.

Gradients are straight-through, at the quantized operands.
"""

import math
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from int4_conformer.errors import UserError
from int4_conformer.quant.numerics.straight_through import Gradient, with_gradient
from int4_conformer.quant.numerics.tensor import QTensor, quantize
from int4_conformer.quant.products.trained import products
from int4_conformer.quant.products.weight_einsum import Terms, transposed
from int4_conformer.quant.spec.quant_config import Backend

Scheme = Literal["int8_symmetric", "int4_symmetric"]
BScale = Literal["column", "row"]
_BITS = {"int8_symmetric": 8, "int4_symmetric": 4}


def activation_matmul(
    a: tf.Tensor,
    b: tf.Tensor,
    scheme: Scheme,
    *,
    transpose_b: bool = False,
    b_scale: BScale = "column",
    backend: Backend = "auto",
) -> tf.Tensor:
    """Multiplies two activations as integers.

    Args:
        a: float [..., m, k].
        b: float [..., k, n], or [..., n, k] with `transpose_b`, with the leading axes of `a`.
        scheme: "int8_symmetric" or "int4_symmetric".
        b_scale: what of the [k, n] matrix has a scale of its own, "column" or "row".
        backend: as in `int_matmul`.

    Returns:
        float32 [..., m, n].

    Raises:
        UserError: the scheme has another name.
    """
    require_scheme(scheme)
    bits = _BITS[scheme]
    a, b = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    if transpose_b:
        b = tf.linalg.matrix_transpose(b)
    right = quantize(b, bits, (-2 if b_scale == "column" else -1,))
    # The scales of rows of `b` go into `a`, those of columns into the product.
    into_a = None if b_scale == "column" else tf.linalg.matrix_transpose(right.scale)
    left = quantize(a if into_a is None else a * into_a, bits, (-1,))

    def product(*tensors: tf.Tensor | None) -> tuple[tf.Tensor, Gradient]:
        _, _, a_codes, a_scale, b_codes, b_scale, into_a = tensors
        left = QTensor(codes=a_codes, scale=a_scale, bits=bits)
        right = QTensor(codes=b_codes, scale=b_scale, bits=bits)

        def gradient(dy: tf.Tensor) -> list[tf.Tensor]:
            da = tf.matmul(dy, right.dequantize(), transpose_b=True)
            a = left.dequantize() if into_a is None else left.dequantize() / into_a
            return [da, tf.matmul(a, dy, transpose_a=True)]

        y = products().product_of_codes(left, right, backend) * left.scale
        return y * right.scale if into_a is None else y, gradient

    return with_gradient(
        product, [a, b], [left.codes, left.scale, right.codes, right.scale, into_a]
    )


def activation_einsum(
    equation: str, a: tf.Tensor, b: tf.Tensor, scheme: Scheme, *, b_scale: BScale = "column"
) -> tf.Tensor:
    """Einsum of two activations by `activation_matmul`.

    The operands are seen as matrices [free axes, contracted axes] and [contracted axes, free axes],
    one for each index of the axes that all three terms have.

    Args:
        equation: such as "bthk,bshk->bhts"; the contracted axes are those that the output lacks.
        a: float tensor.
        b: float tensor.
        scheme: as in `activation_matmul`.
        b_scale: as in `activation_matmul`.

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

    def matrices(x: tf.Tensor, axes: Sequence[str], *groups: Sequence[str]) -> tf.Tensor:
        groups = [*([axis] for axis in terms.shared), *groups]
        x = transposed(x, axes, [axis for group in groups for axis in group])
        if all(len(group) == 1 for group in groups):
            # No size needs to be known.
            return x
        return tf.reshape(x, [math.prod(size[axis] for axis in group) for group in groups])

    product = activation_matmul(
        matrices(a, terms.x, terms.x_free, terms.contracted),
        matrices(b, terms.kernel, terms.contracted, terms.kernel_free),
        scheme,
        b_scale=b_scale,
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
