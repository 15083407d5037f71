"""Products of integers that stand for floats (docs/numerics.md).

    y = (x_codes w_codes - zero_point * column_sums(w_codes)) * x_scale * w_scale

summed over blocks if the weight's scales come in blocks.
"""

import tensorflow as tf

from int4_conformer.quant.numerics.tensor import QTensor
from int4_conformer.quant.products.matmul import column_sums, shifted_matmul
from int4_conformer.quant.spec.quant_config import Backend, levels
from int4_conformer.xla import fused


def integer_product(
    x: QTensor,
    weight: QTensor,
    axis: int,
    backend: Backend,
    bias: tf.Tensor | None = None,
    sums: tf.Tensor | None = None,
) -> tf.Tensor:
    """float32 [rows, out] from codes [rows, in] and [in, out], or [out, in] with `axis` 1.

    Args:
        bias: float32 [out] to add.
        sums: `block_sums` of the weight, where they are known.
    """
    codes, scale = _outputs_last(weight, axis)
    blocks = scale.shape[0]
    products = [
        shifted_matmul(rows, block, b_limit=levels(weight.bits), backend=backend)
        for rows, block in zip(_split(x.codes, blocks, 1), _split(codes, blocks), strict=True)
    ]
    accumulators, (shift, *_) = zip(*products, strict=True)
    if sums is None and (x.zero_point is not None or shift):
        sums = block_sums(weight, axis)
    return _dequantized(accumulators, shift, x.zero_point, x.scale, sums, scale, bias)


def block_sums(weight: QTensor, axis: int) -> tf.Tensor:
    """int32 [blocks, out] of codes [in, out], or [out, in] with `axis` 1: the sums of the codes of
    each output, or of each of its blocks."""
    codes, scale = _outputs_last(weight, axis)
    return tf.concat([column_sums(block) for block in _split(codes, scale.shape[0])], axis=0)


def _outputs_last(weight: QTensor, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Codes [in, out] and scales [blocks, out]."""
    if axis == 0:
        return weight.codes, weight.scale
    return tf.transpose(weight.codes), tf.transpose(weight.scale)


@fused
def _dequantized(
    accumulators: tuple[tf.Tensor, ...],
    shift: int,
    zero_point: tf.Tensor | None,
    x_scale: tf.Tensor,
    sums: tf.Tensor | None,
    scale: tf.Tensor,
    bias: tf.Tensor | None,
) -> tf.Tensor:
    """What the accumulators of all blocks stand for, and the bias.

    Args:
        accumulators: of rows that are `shift` and `zero_point` larger than they stand for.
        sums: of the weight's codes, int32 [blocks, out]; None if nothing is larger.
        scale: of the weight, [blocks, out].
    """
    blocks = len(accumulators)
    offset = shift if zero_point is None else zero_point + shift
    total = 0.0
    for index, accumulator in enumerate(accumulators):
        if sums is not None:
            accumulator -= offset * sums[index]
        sum_ = tf.cast(accumulator, tf.float32)
        block_scale = scale[index]
        total = sum_ * x_scale * block_scale if blocks == 1 else total + sum_ * block_scale
    if blocks > 1:
        total *= x_scale
    return total if bias is None else total + bias


def _split(x: tf.Tensor, blocks: int, axis: int = 0) -> list[tf.Tensor]:
    return [x] if blocks == 1 else tf.split(x, blocks, axis=axis)
