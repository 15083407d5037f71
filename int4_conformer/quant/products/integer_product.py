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
    x: QTensor, weight: QTensor, axis: int, backend: Backend, bias: tf.Tensor | None = None
) -> tf.Tensor:
    """float32 [rows, out] from codes [rows, in] and [in, out], or [out, in] with `axis` 1."""
    codes, scale = outputs_last(weight, axis)
    blocks = scale.shape[0]
    products = [
        shifted_matmul(rows, block, b_limit=levels(weight.bits), backend=backend)
        for rows, block in zip(_split(x.codes, blocks, 1), _split(codes, blocks), strict=True)
    ]
    accumulators, (shift, *_) = zip(*products, strict=True)
    return _dequantized(accumulators, shift, x.zero_point, x.scale, codes, scale, bias)


def outputs_last(weight: QTensor, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Codes [in, out] and scales [blocks, out] of a weight [in, out], or [out, in] with `axis`
    1."""
    if axis == 0:
        return weight.codes, weight.scale
    return tf.transpose(weight.codes), tf.transpose(weight.scale)


@fused
def _dequantized(
    accumulators: tuple[tf.Tensor, ...],
    shift: int,
    zero_point: tf.Tensor | None,
    x_scale: tf.Tensor,
    codes: tf.Tensor,
    scale: tf.Tensor,
    bias: tf.Tensor | None,
) -> tf.Tensor:
    """What the accumulators of all blocks stand for, and the bias.

    Args:
        accumulators: of rows that are `shift` and `zero_point` larger than they stand for.
        codes: of the weight, [in, out].
        scale: of the weight, [blocks, out].
    """
    blocks = len(accumulators)
    offset = shift if zero_point is None else zero_point + shift
    total = 0.0
    for accumulator, block, block_scale in zip(
        accumulators, _split(codes, blocks), _split(scale, blocks), strict=True
    ):
        if zero_point is not None or shift:
            accumulator -= offset * column_sums(block)
        sums = tf.cast(accumulator, tf.float32)
        total = sums * x_scale * block_scale if blocks == 1 else total + sums * block_scale
    if blocks > 1:
        total *= x_scale
    return total if bias is None else total + bias


def _split(x: tf.Tensor, blocks: int, axis: int = 0) -> list[tf.Tensor]:
    return [x] if blocks == 1 else tf.split(x, blocks, axis=axis)
